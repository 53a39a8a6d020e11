/*
 * The epoch fence: allocation, refusal, healing (promises P20 to P27; packages epoch, catalog, quictransport).
 *
 * Three nodes apply the committed log of group 0. An entry may hold a bump, and a bump raises the epoch of whoever
 * applies it. Each node keeps
 *
 *   saved     applied index, epoch and the last term counted, on disk, one transaction (catalog)
 *   applied   the epoch as the fence has it, raised after that transaction; a restart takes it from disk
 *   observed  the highest epoch heard, in memory only; a restart forgets it
 *
 * and stamps every frame <observed, applied>. Any frame may be delayed, repeated, lost, or come from an earlier life of
 * its sender; nodes crash at every point; with LIAR a fourth party holds a valid certificate and stamps its frames as it
 * likes, for ever. Raft itself is assumed (one leader in a term, a committed entry stays): raft/rafttest proves that.
 *
 * Properties, under the names that raft/rafttest/fencemodel uses for the same ones checked on the real code:
 *
 *   OneHolder            an epoch belongs to one term, so to one leader                                    P21
 *   RisesByOne           the epoch is the number of terms that counted their own bump, no more, no less    P20
 *   SavedTogether        what a restart finds: the epoch that belongs to the applied index                 P22
 *   NeverFalls           an epoch that was shown is never unknown again                                    P22
 *   NothingStale         a frame older than the receiver's applied epoch reaches nothing                   P24
 *   NoStaleAuthority     nor does an authority that has not applied what the receiver has                  P25
 *   HealsInOneRoundTrip  from every state, whoever is refused is heard after one refusal was read      P24 P27
 *   CatchesUp            when crashes end, every node applies all and may forward to the leader, whatever
 *                        a liar goes on saying                                                          P25 P27
 *   Administrable        and, without a liar, may act for the cluster                                      P26
 *
 * scripts/model.sh runs it, and with --bite breaks one rule at a time (the BUG_ switches). Two limits must be found:
 *
 *   LIMIT_LAG            a node that lags by more than LEAD epochs is heard no more
 *   LIAR, Administrable  what a liar made the nodes observe keeps them from administration until they have applied as much
 */

#define N 3       /* nodes */
#ifndef TERMS
#define TERMS 2   /* elections of group 0 */
#endif
#ifndef ENTRIES
#define ENTRIES 3 /* committed entries */
#endif
#ifndef CRASHES
#define CRASHES 2
#endif

/* epoch.MaxJump and maxLead, scaled down from 2^20 and 2^19. */
#ifdef LIMIT_LAG
#define LEAD (TERMS - 1)
#else
#define LEAD TERMS
#endif
#define JUMP (2 * LEAD)
#define HUGE 255

/* Group 0's committed log. Entry i, from 1, was written by the leader of term[i] and holds the bump of bump[i], 0 for none. */
byte term[ENTRIES + 1], bump[ENTRIES + 1], last;
byte now, leader; /* the newest term and its leader */
byte crashes;

/* What the log says, worked out when it is written: the epoch after entry i, the terms counted, the term of each epoch. */
byte truth[ENTRIES + 1];
bool counted[TERMS + 1];
byte holder[TERMS + 2];

/* On disk. */
byte savedIndex[N], savedEpoch[N], savedTerm[N];
/* In memory. */
byte applied[N], observed[N];

/* One frame under way, however old: whatever a node has once stamped may arrive anywhere, any number of times. */
byte oldObserved, oldApplied;

/* Each is true for ever, or the run ends by its name. */
bool OneHolder = true, RisesByOne = true, SavedTogether = true, NeverFalls = true, NothingStale = true,
	NoStaleAuthority = true, HealsInOneRoundTrip = true;
#define HOLDS(property, condition) property = (condition); assert(property)

#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* epoch.Holder.Admit: 1 when node r, at applied epoch ra, takes a frame stamped <so, sa>. */
#ifdef BUG_NO_REFUSAL
#define YOUNG(so, ra, ro) true
#elif defined(BUG_REFUSE_BY_OBSERVED)
#define YOUNG(so, ra, ro) ((so) >= (ro))
#else
#define YOUNG(so, ra, ro) ((so) >= (ra))
#endif
#define ADMITS(so, sa, ra, ro) ((sa) <= (so) && YOUNG(so, ra, ro) && (so) <= (ra) + JUMP)

/* epoch.Holder.AdmitAuthority, after Admit. */
#ifdef BUG_AUTHORITY_BY_OBSERVED
#define AUTHORITY(so, sa, ra, ro) ((so) >= (ra))
#elif defined(BUG_AUTHORITY_AGAINST_OBSERVED)
#define AUTHORITY(so, sa, ra, ro) ((sa) >= (ro))
#else
#define AUTHORITY(so, sa, ra, ro) ((sa) >= (ra))
#endif

/* epoch.Holder.Observe: what r has observed after an admitted frame. Believed up to LEAD above the applied epoch. */
#ifdef BUG_NO_LEAD
#define HEARD(so, ra, ro) MAX(ro, so)
#else
#define HEARD(so, ra, ro) MAX(ro, MIN(so, (ra) + LEAD))
#endif

/* Do frames of a get through to b? */
#define HEARS(b, a) ADMITS(observed[a], applied[a], applied[b], observed[b])

/* A frame stamped <so, sa> reaches node r: the fence, then the content, then what acts with authority. */
inline deliver(r, so, sa) {
	if
	:: ADMITS(so, sa, applied[r], observed[r]) ->
		HOLDS(NothingStale, so >= applied[r]);
		observed[r] = HEARD(so, applied[r], observed[r]);
		if
		:: AUTHORITY(so, sa, applied[r], observed[r]) -> HOLDS(NoStaleAuthority, sa >= applied[r])
		:: else
		fi
	:: else /* refused: nothing in it is looked at */
	fi
}

/* Node r applies the next entry: catalog.EpochBump.apply, in one transaction with the applied index. */
inline save(r) {
	i = savedIndex[r] + 1;
	rise = bump[i] != 0;
#ifndef BUG_ANY_TERM
	rise = rise && bump[i] == term[i];
#endif
#ifndef BUG_TWICE_PER_TERM
	rise = rise && bump[i] > savedTerm[r];
#endif
#ifdef BUG_FENCE_FIRST
	applied[r] = savedEpoch[r] + rise; observed[r] = MAX(observed[r], applied[r]);
	rise = rise && !torn;
	savedIndex[r] = (torn -> i - 1 : i);
#else
	savedIndex[r] = i;
#endif
#ifdef BUG_APART
	rise = rise && !torn; /* the crash between two transactions */
#endif
	if
	:: rise ->
		savedTerm[r] = bump[i];
		savedEpoch[r]++;
		HOLDS(OneHolder, holder[savedEpoch[r]] == 0 || holder[savedEpoch[r]] == term[i]);
		holder[savedEpoch[r]] = term[i]
	:: else
	fi;
	if
	:: !torn -> HOLDS(RisesByOne, savedEpoch[r] == truth[i])
	:: else
	fi;
	i = 0; rise = false
}

/* What is durable raises the fence: epoch.Holder.Apply. */
inline raise(r) {
	observed[r] = MAX(observed[r], savedEpoch[r]);
	applied[r] = savedEpoch[r]
}

/* Kill -9 and a new start: epoch.NewHolder(saved). */
inline restart(r) {
	HOLDS(SavedTogether, savedEpoch[r] == truth[savedIndex[r]]);
	HOLDS(NeverFalls, savedEpoch[r] >= applied[r]);
	applied[r] = savedEpoch[r]; observed[r] = savedEpoch[r]
}

/* Node a says something to b. If b refuses it, a hears b's refusal, which is a stamped frame itself, and says it again. */
inline heal(a, b) {
	i = observed[a];
#ifndef BUG_SILENT_REFUSAL
	if
	:: !HEARS(b, a) && HEARS(a, b) -> i = HEARD(observed[b], applied[a], observed[a])
	:: else
	fi;
#endif
	HOLDS(HealsInOneRoundTrip, ADMITS(i, applied[a], applied[b], observed[b]));
	i = 0
}

/* Everything that can happen, in any order. Nothing here is fair: each step may be taken at once, late or never. */
active proctype world() {
	byte i, n, to; bool rise, torn;
	do
	:: atomic { now < TERMS -> select(n : 0 .. N - 1); now++; leader = n; n = 0 }
	/* The leader gets committed its bump, once or again, one held up since an earlier term, or (0) anything else. */
	:: atomic { last < ENTRIES && now > 0 -> select(n : 0 .. now); d_step {
			last++; term[last] = now; bump[last] = n; truth[last] = truth[last - 1];
			if
			:: n == now && !counted[n] -> counted[n] = true; truth[last]++
			:: else
			fi;
			n = 0 } }
	:: atomic { select(n : 0 .. N - 1); d_step { if :: savedIndex[n] < last && applied[n] == savedEpoch[n] -> save(n) :: else fi; n = 0 } }
	:: atomic { select(n : 0 .. N - 1); d_step { if :: applied[n] != savedEpoch[n] -> raise(n) :: else fi; n = 0 } }
	:: atomic { crashes < CRASHES -> crashes++; select(n : 0 .. N - 1); d_step { restart(n); n = 0 } }
#if defined(BUG_APART) || defined(BUG_FENCE_FIRST)
	:: atomic { crashes < CRASHES -> crashes++; select(n : 0 .. N - 1); d_step {
			if :: savedIndex[n] < last && applied[n] == savedEpoch[n] -> torn = true; save(n); torn = false; restart(n) :: else fi;
			n = 0 } }
#endif
#ifdef LIAR
	:: atomic { select(n : 0 .. N - 1); d_step { deliver(n, HUGE, 0); n = 0 } }
	:: atomic { select(n : 0 .. N - 1); d_step { deliver(n, JUMP, JUMP); n = 0 } }
#endif
#ifndef LIVENESS /* what follows only matters to single steps */
#ifdef LIAR
	:: atomic { select(to : 0 .. TERMS + JUMP + 1); select(n : 0 .. N - 1); d_step { deliver(n, to, to); n = 0; to = 0 } }
#endif
	:: atomic { select(n : 0 .. N - 1); d_step { oldObserved = observed[n]; oldApplied = applied[n]; n = 0 } }
	:: atomic { select(n : 0 .. N - 1); d_step { deliver(n, oldObserved, oldApplied); n = 0 } }
	:: atomic { select(n : 0 .. N - 1); select(to : 0 .. N - 1); d_step { if :: n != to -> heal(n, to) :: else fi; n = 0; to = 0 } }
#endif
	od
}

#ifdef LIVENESS
/* What does go on, however slowly (weak fairness). Node n applies what it is sent: a leader sends to whom it hears and
 * who hears it. */
active [N] proctype applying() {
	byte i, n = _pid - 1; bool rise, torn;
	do
	:: d_step { applied[n] != savedEpoch[n] -> raise(n) }
	:: d_step { applied[n] == savedEpoch[n] && savedIndex[n] < last && (n == leader || HEARS(leader, n) && HEARS(n, leader)) ->
			save(n); raise(n) }
	od
}

/* A frame of a tells b news: b admits it and learns by it. */
#define NEWS(b, a) (HEARS(b, a) && HEARD(observed[a], applied[b], observed[b]) != observed[b])

/* Beacons reach node n from whoever has news for it; refusals are such frames too. */
active [N] proctype hearing() {
	byte n = _pid - 1 - N;
	do
	:: d_step { NEWS(n, 0) -> deliver(n, observed[0], applied[0]) }
	:: d_step { NEWS(n, 1) -> deliver(n, observed[1], applied[1]) }
	:: d_step { NEWS(n, 2) -> deliver(n, observed[2], applied[2]) }
	od
}

#define DONE(n) (savedIndex[n] == last && applied[n] == truth[last] && \
	AUTHORITY(observed[n], applied[n], applied[leader], observed[leader]))
#define FREE(n) (observed[n] == applied[n])
ltl CatchesUp { <>[] (DONE(0) && DONE(1) && DONE(2)) }
ltl Administrable { <>[] (FREE(0) && FREE(1) && FREE(2)) }
#endif
