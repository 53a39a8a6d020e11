/*
 * Replicas made anew (N8; packages raft, catalog; docs/adr/0006).
 *
 * A few nodes decide by a membership that changes one node at a time and takes effect where it is known to be committed. Node X
 * loses its disk and is taken out and added again: a replica without log, term or vote, under an id that was a member before. Whoever
 * has stood still since, a leader or a candidate, still counts it for what was there. The model asks what harm that does under the
 * rule of raft/anew.go: until the replica knows that the change is committed that made it a member, it helps only who shows that
 * he knows.
 *
 *   Agreement         nobody commits at an index what another has not committed there
 *   OneLeaderPerTerm  nobody is elected in a term that has had a leader
 *   NoStaleRead       no read that begins at a leader who lacks what is committed is confirmed by a round
 *
 * Anybody may stand still at any moment, so time plays no part: whatever may happen next may also happen much later. A vote and an
 * acknowledgement count as soon as they are given; that they arrive late is that the candidate takes office, and the leader commits,
 * late. Appends carry one entry. That pre-votes, leases on votes and snapshots are left out gives the world more freedom. A
 * change adds a voter at once, without a learner's time. What is known to be committed is applied at once. An acknowledgement
 * of a replica's earlier life counts for its next one: for what is committed, the number of lives in appends is not needed.
 *
 * The BUG_ switches take a part of the rule away, for scripts/model.sh --bite. ONLY_READS looks for NoStaleRead alone.
 */

#ifndef N
#define N 3
#endif
#ifndef TERMS
#define TERMS 2
#endif
#ifndef ENTRIES
#define ENTRIES 4
#endif
#ifndef WIPES
#define WIPES 1
#endif
#define X 0 /* who may be made anew; the others differ in nothing */
#ifndef BIRTH
#define BIRTH ((1 << N) - 1) /* the first membership */
#endif

/* Entries. */
#define OTHER 0
#define REMOVE(n) (1 + (n))
#define ADD(n) (1 + N + (n))
#define IS_ADD(k) ((k) > N)

/* The logs. An entry is known by its term and index, and so is all that comes before it. What the leader of a term wrote begins
 * at start, behind an entry of the term prev. A log is its last entry. */
byte start[TERMS + 1], prev[TERMS + 1], kind[(TERMS + 1) * (ENTRIES + 1)];
#define KIND(t, i) kind[(t) * (ENTRIES + 1) + (i)]
/* The term of the entry at i in the log that ends in term t: 0 for i = 0. */
#define BACK(t, i, before) ((i) >= start[t] -> (t) : before)
#define AT(t, i) BACK(t, i, BACK(prev[t], i, BACK(prev[prev[t]], i, prev[prev[prev[t]]])))

byte term[N], last[N], lastTerm[N], commit[N];
bool voted[N]; /* or has heard a leader of its term */
byte members[N]; /* as of commit */
mtype = { follower, candidate, leader };
mtype role[N] = follower;
byte votes[N], match[N * N]; /* of a candidate and a leader; sets are bits */

bool gone; /* the replica of X is lost, and there is no other yet */
byte since; /* of X: raft.Config.Since */
bool assured; /* of X: Core.assured */
byte wipes;

byte decided, decidedTerm; /* the last entry that anybody has committed */
byte reader, answered; /* 1 + the leader with a stale read, and who answered its round */
byte stood, top; /* of the nodes but X the last that stood: their order is their names'; the highest term */

/* Each is true for ever, or the run ends by its name. */
bool Agreement = true, OneLeaderPerTerm = true, NoStaleRead = true;
#define HOLDS(property, condition) property = (condition); assert(property)
#ifdef ONLY_READS
#define HOLDS_TOO(property, condition) skip
#else
#define HOLDS_TOO(property, condition) HOLDS(property, condition)
#endif

#define HAS(set, n) ((set) >> (n) & 1)
#define COUNT(set) (((set) & 1) + ((set) >> 1 & 1) + ((set) >> 2 & 1) + ((set) >> 3 & 1))
#define MAJORITY(of, set) (2 * COUNT((of) & (set)) > COUNT(of))
#define ALIVE(n) ((n) != X || !gone)

/* raft/anew.go */
#define UNSURE(n) ((n) == X && commit[X] < since)
#ifdef BUG_ELECT
#define MAY_ELECT(v, c) true
#else
#define MAY_ELECT(v, c) (!UNSURE(v) || commit[c] >= since)
#endif
#ifdef BUG_FOLLOW
#define MAY_FOLLOW(f) true
#else
#define MAY_FOLLOW(f) (!UNSURE(f) || assured)
#endif
#ifdef BUG_STAND
#define STANDS(n) true
#else
#define STANDS(n) (!UNSURE(n))
#endif

inline rest(n) {
	role[n] = follower; votes[n] = 0;
	for (i : 0 .. N - 1) { match[n * N + i] = 0 }
	i = 0;
	if :: reader == 1 + n -> reader = 0; answered = 0 :: else fi
}

/* n learns that its log is committed up to c: the changes take effect. */
inline learn(n, c) {
	do
	:: commit[n] < c ->
		commit[n]++;
		k = KIND(AT(lastTerm[n], commit[n]), commit[n]);
		if
		:: k == OTHER
		:: IS_ADD(k) -> members[n] = members[n] | 1 << (k - 1 - N)
		:: else ->
			members[n] = members[n] & ~(1 << (k - 1));
			if :: reader == 1 + n -> answered = answered & ~(1 << (k - 1)) :: else fi
		fi
	:: else -> break
	od;
	k = 0;
	if :: !HAS(members[n], n) && role[n] != follower -> rest(n) :: else fi;
	if :: n == X && !UNSURE(X) -> assured = false :: else fi
}

inline enter(n, t) {
	if :: term[n] < t -> term[n] = t; voted[n] = false :: else fi;
	if :: role[n] != follower -> rest(n) :: else fi
}

#define MAY_STAND(n, t) (ALIVE(n) && term[n] < t && HAS(members[n], n) && STANDS(n) && n <= stood + 1 && t <= top + 1 && last[n] < ENTRIES)
inline stand(n, t) {
	enter(n, t);
	role[n] = candidate; voted[n] = true; votes[n] = 1 << n;
	if :: n > stood -> stood = n :: else fi;
	if :: t > top -> top = t :: else fi
}

#define MAY_VOTE(v, c) (ALIVE(v) && v != c && HAS(members[c], v) && (term[v] < term[c] || term[v] == term[c] && !voted[v]) && \
	(lastTerm[c] > lastTerm[v] || lastTerm[c] == lastTerm[v] && last[c] >= last[v]) && MAY_ELECT(v, c))
inline vote(v, c) {
	enter(v, term[c]);
	voted[v] = true;
	votes[c] = votes[c] | 1 << v
}

inline takeOffice(n) {
	HOLDS_TOO(OneLeaderPerTerm, start[term[n]] == 0);
	role[n] = leader; votes[n] = 0;
	last[n]++;
	start[term[n]] = last[n]; prev[term[n]] = lastTerm[n];
	lastTerm[n] = term[n]
}

/* No change before an entry of the term is committed, and none before the last one has taken effect. */
inline propose(l, what) {
	k = (what == OTHER || commit[l] >= start[term[l]]);
	for (i : 1 .. ENTRIES) {
		if :: what != OTHER && i > commit[l] && i <= last[l] && KIND(AT(lastTerm[l], i), i) != OTHER -> k = 0 :: else fi };
	if :: k -> last[l]++; KIND(term[l], last[l]) = what :: else fi;
	i = 0; k = 0
}

/* f hears l, the leader of a term not below its own. */
#define MAY_HEAR(f, l) (ALIVE(f) && f != l && HAS(members[l], f) && term[f] <= term[l])
inline heed(f, l) {
	enter(f, term[l]);
	voted[f] = true;
	if :: UNSURE(f) && commit[l] >= since -> assured = true :: else fi
}

/* The first entry that f lacks, or none; and what l knows to be committed of what is compared. */
inline follow(f, l) {
	i = (last[f] < last[l] -> last[f] : last[l]);
	do
	:: AT(lastTerm[f], i) != AT(lastTerm[l], i) -> i--
	:: else -> break
	od;
	if :: i < last[l] -> i++; last[f] = i; lastTerm[f] = AT(lastTerm[l], i) :: else fi;
	if :: match[l * N + f] < i -> match[l * N + f] = i :: else fi;
	i = (commit[l] < i -> commit[l] : i);
	learn(f, i)
}

inline advance(l) {
	i = last[l];
	do
	:: i < start[term[l]] || i <= commit[l] -> i = 0; break
	:: else ->
		k = 1 << l;
		for (j : 0 .. N - 1) { if :: match[l * N + j] >= i -> k = k | 1 << j :: else fi }
		if :: MAJORITY(members[l], k) -> break :: else -> i-- fi
	od;
	j = i; i = 0; k = 0;
	if
	:: j > decided -> HOLDS_TOO(Agreement, AT(lastTerm[l], decided) == decidedTerm); decided = j; decidedTerm = AT(lastTerm[l], j)
	:: j > 0 && j <= decided -> HOLDS_TOO(Agreement, AT(decidedTerm, j) == AT(lastTerm[l], j))
	:: else
	fi;
	if :: j > 0 -> learn(l, j) :: else fi;
	j = 0
}

/* A replica of X made anew: it is, once the last decided change of X has made it a member. */
inline comeBack() {
	for (i : 1 .. ENTRIES) {
		k = (i <= decided -> KIND(AT(decidedTerm, i), i) : OTHER);
		if
		:: k == ADD(X) -> since = i
		:: k == REMOVE(X) -> since = 0
		:: else
		fi };
	gone = (since == 0);
	i = 0; k = 0
}

inline lose() {
	rest(X);
	gone = true; wipes++; since = 0; assured = false;
	term[X] = 0; voted[X] = false; last[X] = 0; lastTerm[X] = 0; commit[X] = 0; members[X] = BIRTH
}

#define A_NODE(n) select(n : 0 .. N - 1)
/* n is one of those that are r. */
#if N == 3
#define ONE(n, r) if :: role[0] == r -> n = 0 :: role[1] == r -> n = 1 :: role[2] == r -> n = 2 fi
#else
#define ONE(n, r) if :: role[0] == r -> n = 0 :: role[1] == r -> n = 1 :: role[2] == r -> n = 2 :: role[3] == r -> n = 3 fi
#endif

active proctype world() {
	byte a, b, t, i, j, k;
	d_step { for (i : 0 .. N - 1) { members[i] = BIRTH }; i = 0 };
	do
	:: atomic { A_NODE(a); select(t : 1 .. TERMS); d_step { if :: MAY_STAND(a, t) -> stand(a, t) :: else fi; a = 0; t = 0 } }
	:: atomic { ONE(a, candidate); A_NODE(b); d_step { if :: MAY_VOTE(b, a) -> vote(b, a) :: else fi; a = 0; b = 0 } }
	:: atomic { ONE(a, candidate); d_step { if :: MAJORITY(members[a], votes[a]) -> takeOffice(a) :: else fi; a = 0 } }
	:: atomic { ONE(a, leader);
			if
			:: b = OTHER
			:: commit[a] >= start[term[a]] -> A_NODE(t);
				if
				:: HAS(members[a], t) && members[a] != 1 << t -> b = REMOVE(t)
				:: !HAS(members[a], t) && (t != X || gone) -> b = ADD(t)
				:: else
				fi
			fi;
			d_step { if :: last[a] < ENTRIES -> propose(a, b) :: else fi; a = 0; b = 0; t = 0 } }
	:: atomic { ONE(a, leader); A_NODE(b); d_step {
			if :: MAY_HEAR(b, a) -> heed(b, a); if :: MAY_FOLLOW(b) -> follow(b, a) :: else fi :: else fi; a = 0; b = 0; i = 0 } }
	:: atomic { ONE(a, leader); d_step { advance(a); a = 0 } }
	/* Elections tell what is committed (D43); the sender's term is not below the receiver's. */
	:: atomic { A_NODE(a); A_NODE(b); d_step {
			if
			:: ALIVE(a) && ALIVE(b) && role[b] != leader && term[a] >= term[b] && commit[a] > commit[b] && commit[a] <= last[b] &&
				AT(lastTerm[a], commit[a]) == AT(lastTerm[b], commit[a]) -> learn(b, commit[a])
			:: else
			fi; a = 0; b = 0 } }
	:: atomic { ONE(a, leader); d_step {
			if :: reader == 0 && commit[a] >= start[term[a]] && commit[a] < decided -> reader = 1 + a; answered = 1 << a :: else fi; a = 0 } }
	:: atomic { reader != 0 -> A_NODE(b); d_step { a = reader - 1;
			if
			:: MAY_HEAR(b, a) -> heed(b, a); if :: MAY_FOLLOW(b) -> answered = answered | 1 << b :: else fi
			:: else
			fi;
			HOLDS(NoStaleRead, !MAJORITY(members[a], answered)); a = 0; b = 0 } }
	:: d_step { !gone && wipes < WIPES -> lose() }
	:: d_step { gone -> comeBack() }
	od
}
