/*
 * Replica generations (N8, F46, D17, D57; packages catalog, catalog/birth, quictransport; docs/adr/0002).
 *
 * Three nodes are started from one list, and two of them decide. Each data directory draws a generation; group 0's log
 * registers it, the first one of a node wins, and whoever has applied that refuses every other body of the node at the
 * handshake. A node whose disk is wiped comes back under its id with nothing: no log, no vote, no term, a new generation.
 * The model asks what such a body can do.
 *
 * The log is one history of committed entries, of which each node holds a prefix: as long as the properties hold, Raft
 * needs no more of it. An entry is a write (0) or the registration of a body.
 *
 *   NothingLost       whoever is elected holds all that was ever committed
 *   OneLeaderPerTerm  nobody votes twice in a term
 *
 * They hold under ASSUME: by default, that a directory is lost only after every other node has applied its registration.
 * Without that they do not, and scripts/model.sh demands that each of these limits of ADR 0002 is found:
 *
 *   LIMIT_EARLY   a disk is lost before
 *   LIMIT_READY   a disk is lost once every node has printed its ready line (it has applied its own registration)
 *   LIMIT_TWO     two disks are lost, and two empty directories found a second cluster behind the third node's back
 *   LIMIT_CLONE   a copy of a directory runs beside the original, where a peer has lost the original
 *
 * ONLY_LOSS looks for NothingLost alone. The BUG_ switches break one rule each, for scripts/model.sh --bite. Two variants hold:
 *
 * REJOIN is a rule that is not built: the last registration of a node counts, not the first. With one disk lost it is as safe: who
 * could elect the new body has applied its registration, and with it all that the old one had acknowledged.
 *
 * MEET is a rule that is not built: nobody votes or acknowledges before every other node has noted its generation on
 * disk. It closes the first three, for two lost disks at any time. Its price is that a cluster is born only when all are there.
 */

#define N 3
#ifdef LIMIT_CLONE
#define BODIES 4 /* bodies 0 to 2 are the nodes; 3 is a copy of node 2 */
#else
#define BODIES N
#endif
#ifndef TERMS
#define TERMS 3
#endif
#ifndef ENTRIES
#define ENTRIES 2
#endif
#ifndef WIPES
#define WIPES 1
#endif
#define NODE(b) ((b) == N -> N - 1 : (b))

/* The history: entry i, from 1, registers generation g of node n as 1 + n + N * g, or is a write, 0. */
byte entry[ENTRIES + 1], last;
byte leaderOf[TERMS + 1]; /* 1 + the body elected */
byte wipes;
bool settled; /* once every node had applied every registration */

/* On disk. Generations count from 1; the real ones are random. */
byte generation[BODIES], held[BODIES], applied[BODIES], term[BODIES];
bool voted[BODIES];
/* Of each body and node: the generation registered, as far as applied; that of the first handshake (MEET), and whether that
 * node has noted this body's. */
byte known[BODIES * N], noted[BODIES * N];
bool met[BODIES * N];
/* The body of node 2 that nodes 0 and 1 have a connection to: of two, the second is refused (D57). */
byte uses[2] = { 2, 2 };
bool cloned;

/* Each is true for ever, or the run ends by its name. */
bool NothingLost = true, OneLeaderPerTerm = true;
#define HOLDS(property, condition) property = (condition); assert(property)

/* quictransport's introduce: body a has nothing against body b. */
#ifdef BUG_NOT_COMPARED
#define TAKES(a, b) true
#else
#define TAKES(a, b) ((known[(a) * N + NODE(b)] == 0 || known[(a) * N + NODE(b)] == generation[b]) && \
	(noted[(a) * N + NODE(b)] == 0 || noted[(a) * N + NODE(b)] == generation[b]))
#endif
#define WIRED(a, b) ((a) >= 2 || (b) < 2 || uses[a] == (b))
#define TALK(a, b) (NODE(a) != NODE(b) && WIRED(a, b) && WIRED(b, a) && TAKES(a, b) && TAKES(b, a))

#ifdef MEET
#define FREE(b) (met[(b) * N + (NODE(b) + 1) % N] && met[(b) * N + (NODE(b) + 2) % N])
#else
#define FREE(b) true
#endif

/* Everybody but n has applied the registration of n. */
#define NOTED(n) (known[((n) + 1) % N * N + (n)] == generation[n] && known[((n) + 2) % N * N + (n)] == generation[n])
#define READY(n) (known[(n) * N + (n)] == generation[n])
#if defined(LIMIT_EARLY) || defined(MEET)
#define ASSUME(n) true
#elif defined(LIMIT_READY)
#define ASSUME(n) (READY(0) && READY(1) && READY(2))
#elif defined(LIMIT_TWO)
#define ASSUME(n) settled
#else
#define ASSUME(n) NOTED(n)
#endif

/* Body c becomes leader of term t by the vote of v. */
inline elect(c, v, t) {
	term[c] = t; voted[c] = true;
	term[v] = t; voted[v] = true;
#ifndef ONLY_LOSS
	HOLDS(OneLeaderPerTerm, leaderOf[t] == 0);
#endif
	HOLDS(NothingLost, held[c] == last);
	leaderOf[t] = 1 + c
}
#define LEADS(b) (term[b] != 0 && leaderOf[term[b]] == 1 + (b))
#define VOTES(v, c, t) (FREE(c) && FREE(v) && TALK(c, v) && held[c] >= held[v] && (term[v] < t || term[v] == t && !voted[v]))
#define FOLLOWS(v, l) (LEADS(l) && FREE(l) && FREE(v) && TALK(l, v) && term[v] <= term[l])

inline follow(v, l) {
	if
	:: term[v] < term[l] -> term[v] = term[l]; voted[v] = false
	:: else
	fi;
	held[v]++
}

/* catalog.RegisterNode.apply */
inline apply(b) {
	applied[b]++;
	e = entry[applied[b]];
	if
	:: e != 0 ->
		n = b * N + (e - 1) % N;
#ifndef REJOIN
		if :: known[n] == 0 ->
#else
		if :: true ->
#endif
			known[n] = (e - 1) / N :: else fi
	:: else
	fi;
#ifdef LIMIT_TWO
	settled = settled || (NOTED(0) && NOTED(1) && NOTED(2));
#endif
	e = 0; n = 0
}

/* What is left of body b's log, votes and term when its log is lost: nothing. */
inline forget(b) { held[b] = 0; applied[b] = 0; term[b] = 0; voted[b] = false }

inline wipe(b) {
	wipes++;
	forget(b);
	generation[b]++;
	for (n : 0 .. N - 1) { known[b * N + n] = 0; noted[b * N + n] = 0; met[b * N + n] = false }
	n = 0
}

active proctype world() {
	byte a, b, e, n;
	d_step { generation[0] = 1; generation[1] = 1; generation[2] = 1 };
	do
	:: atomic { select(a : 0 .. BODIES - 1); select(b : 0 .. BODIES - 1); select(e : 1 .. TERMS); d_step {
			if :: term[a] < e && VOTES(b, a, e) -> elect(a, b, e) :: else fi; a = 0; b = 0; e = 0 } }
	/* A leader and one other are enough. A registration reaches the leader in whatever way, however late. */
	:: atomic { last < ENTRIES -> select(a : 0 .. BODIES - 1); select(b : 0 .. BODIES - 1);
			if
			:: e = 0
#ifndef MEET /* which does without */
			:: select(n : 0 .. N - 1); e = 1 + n + N * generation[n]
			:: wipes > 0 -> select(n : 0 .. N - 1); e = 1 + n + N
#endif
			fi;
			d_step {
			if
			:: FOLLOWS(b, a) && held[b] == held[a] ->
				HOLDS(NothingLost, held[a] == last);
				last++; entry[last] = e; held[a]++; follow(b, a)
			:: else
			fi;
			a = 0; b = 0; e = 0; n = 0 } }
	:: atomic { select(a : 0 .. BODIES - 1); select(b : 0 .. BODIES - 1); d_step {
			if :: FOLLOWS(b, a) && held[b] < held[a] -> follow(b, a) :: else fi; a = 0; b = 0 } }
	:: atomic { select(b : 0 .. BODIES - 1); d_step { if :: applied[b] < held[b] -> apply(b) :: else fi; b = 0 } }
	:: atomic { wipes < WIPES -> select(b : 0 .. N - 1); d_step { if :: ASSUME(b) -> wipe(b) :: else fi; b = 0 } }
#ifdef MEET /* at a handshake: a notes b; and, from b's first frame, that b has noted a */
	:: atomic { select(a : 0 .. N - 1); select(b : 0 .. N - 1); d_step {
			if :: TALK(a, b) -> noted[a * N + b] = generation[b] :: else fi; a = 0; b = 0 } }
	:: atomic { select(a : 0 .. N - 1); select(b : 0 .. N - 1); d_step {
			if :: TALK(a, b) && noted[b * N + a] == generation[a] -> met[a * N + b] = true :: else fi; a = 0; b = 0 } }
#endif
#ifdef LIMIT_CLONE
	:: d_step { !cloned -> cloned = true;
			generation[N] = generation[2]; held[N] = held[2]; applied[N] = applied[2]; term[N] = term[2]; voted[N] = voted[2];
			for (n : 0 .. N - 1) { known[N * N + n] = known[2 * N + n] };
			n = 0 }
	:: d_step { cloned && uses[0] == 2 -> uses[0] = 3 }
	:: d_step { cloned && uses[1] == 2 -> uses[1] = 3 }
#endif
#ifdef BUG_FORGOTTEN /* what was registered is not on disk */
	:: atomic { select(b : 0 .. N - 1); d_step { for (n : 0 .. N - 1) { known[b * N + n] = 0 }; b = 0; n = 0 } }
#endif
#ifdef BUG_LOG_LOST /* a catalog without its log is started (birth.CheckLogs) */
	:: atomic { wipes < WIPES -> wipes++; select(b : 0 .. N - 1); d_step { forget(b); b = 0 } }
#endif
	od
}
