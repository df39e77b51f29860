/* The approval gate and the fenced execution behind it, as one finite model (Promela, for Spin 6.5).

   Each d_step is one database transaction of the product, under the lock of the change. What is between two of them
   may be interleaved with everything else: a reviewer who read an old page, a membership that ends, a message that is
   delivered twice, a worker that stalls. The ghost of each claim is written a second time, apart from the code that
   decides: `truth_*` never looks at what the gate looked at.

   Kept small on purpose: one change of two steps, one edit, two ordered stages of quorum 1 and 2 (break-glass: one of
   quorum 2), four persons of whom 0 requests, one delegation, two memberships that may end, a newer policy that asks for
   more, two workers with three tries between them.
   Two of anything that can differ are enough for each claim to be violated: the twins (-DBUG_...) show it for each. */

#ifndef EVENTS
#define EVENTS 2                  /* how much happens by itself */
#endif
#define P 4                       /* persons: 0 requests, and is in the team of stage 0 with 1 and 2; stage 1 is for 2 and 3 */
#define WAITING 0
#define APPROVED 1
#define RUNNING 2
#define DONE 3
#define CANCELLED 4
#define REJECTED 5
#define EXPIRED 6
#define UNKNOWN 7

byte state = WAITING;
byte rev = 1;                     /* the revision; votes name the one that was seen */
bit glass;                        /* break-glass: one stage of two, no freeze, a review afterwards */
bit frozen, stopped, review;
bit newer;                        /* a policy that asks for more judges now than the one that made the chain */
bit gone[P];                      /* left the teams since */
byte from, to;                    /* who decides for whom: from == to is nobody */

byte voted[P];                    /* 0 nothing, else the revision that was signed */
byte stage_of[P];                 /* at which stage */
byte at[P];                       /* in which order it was given; of no matter where all sign at once */
bit forother[P];                  /* as the delegate of `from` */
byte clock = 1;

byte step = 0;                    /* 0 and 1; 2 means that both have succeeded */
bit leased; byte attempt = 0; byte holder;   /* of the current step */
byte spawned[2];                  /* how often each step was started; step 1 must never be repeated by itself */
bit answered;                     /* a person said that step 1 may be tried again */
byte permit = 0;                  /* 0 none, 1 good, 2 ended */
bit over = 0;                     /* ghost: a terminal state was reached */

#define member(p, s) (!gone[p] && (glass || (s == 0 && p <= 2) || (s == 1 && p >= 2)))
#ifdef BUG_MEMBER                 /* whoever has agreed counts, wherever they are now */
#define standing(p, s) true
#else
#define standing(p, s) ((!forother[p] && member(p, s)) || (forother[p] && from != to && to == p && !gone[p] && member(from, s)))
#endif
#ifdef BUG_SELF
#define conflict(p) false
#else
#ifdef BUG_CONFLICT               /* the requester's delegate is nobody in particular */
#define conflict(p) (p == 0)
#else
#define conflict(p) (p == 0 || (from == 0 && to == p && from != to))
#endif
#endif
#define counts(p, s) (voted[p] != 0 && stage_of[p] == s && !conflict(p) && standing(p, s))
#ifdef BUG_DIGEST
#define current(p) (voted[p] != 0)
#else
#define current(p) (voted[p] == rev)
#endif

/* What the product counts. A delegate and the one they decide for are one vote. */
byte c0, c1, moment; byte i;
inline tally() {
  c0 = 0; c1 = 0; moment = 255; i = 0;
  do
  :: i < P ->
     if :: counts(i, 0) && current(i) -> c0++; if :: at[i] < moment -> moment = at[i] :: else fi :: else fi; i++
  :: else -> break
  od;
  i = 0;
  do
  :: i < P ->
#ifdef BUG_ORDER
     if :: counts(i, 1) && current(i) -> c1++ :: else fi; i++
#elif defined(BUG_DISTINCT)
     if :: counts(i, 1) && current(i) && at[i] > moment -> c1++ :: counts(i, 0) && current(i) && member(i, 1) -> c1++ :: else fi; i++
#else
     if :: counts(i, 1) && current(i) && at[i] > moment -> c1++ :: else fi; i++
#endif
  :: else -> break
  od;
#ifndef BUG_DELEGATE
  if                              /* both of a pair have signed: once */
  :: from != to && voted[from] != 0 && voted[to] != 0 && forother[to] && current(from) && current(to) && counts(from, stage_of[from]) && counts(to, stage_of[to]) ->
     if :: stage_of[to] == 0 -> c0-- :: else -> c1-- fi
  :: else
  fi;
#endif
  i = 0
}
#ifdef BUG_GLASS
#define complete() ((glass && c0 >= 1) || (!glass && c0 >= 1 && c1 >= 2))
#else
#ifdef BUG_QUORUM
#define complete() ((glass && c0 >= 2) || (!glass && c0 >= 1))
#else
#define complete() ((glass && c0 >= 2) || (!glass && c0 >= 1 && c1 >= 2))
#endif
#endif

/* --- the ghosts: written from governance.md, section 7, not from the code above --- */

byte g0, g1, gm, j; bit used[P];
inline truth() {                  /* distinct persons per stage, each in no conflict, eligible now, in order */
  g0 = 0; g1 = 0; gm = 255; j = 0;
  do :: j < P -> used[j] = 0; j++ :: else -> break od;
  j = 1;
  do
  :: j < P ->
     if
     :: voted[j] == rev && stage_of[j] == 0 && !(from == 0 && to == j && from != to) && !gone[j] &&
        ((!forother[j] && (glass || j == 1 || j == 2)) || (forother[j] && from != to && to == j && from != 0 && !gone[from] && (glass || from == 1 || from == 2))) ->
        if
        :: used[j] || (forother[j] && used[from]) -> skip
        :: else -> g0++; used[j] = 1; if :: forother[j] -> used[from] = 1 :: else fi; if :: at[j] < gm -> gm = at[j] :: else fi
        fi
     :: else
     fi; j++
  :: else -> break
  od;
  j = 1;
  do
  :: j < P ->
     if
     :: voted[j] == rev && stage_of[j] == 1 && !(from == 0 && to == j && from != to) && !gone[j] && at[j] > gm &&
        ((!forother[j] && (j == 2 || j == 3)) || (forother[j] && from != to && to == j && from != 0 && !gone[from] && (from == 2 || from == 3))) ->
        if
        :: used[j] || (forother[j] && used[from]) -> skip
        :: else -> g1++; used[j] = 1; if :: forother[j] -> used[from] = 1 :: else fi
        fi
     :: else
     fi; j++
  :: else -> break
  od;
  j = 0;
  do :: j < P -> used[j] = 0; j++ :: else -> break od;
  j = 0
}
inline claims_of_a_first_start() {
  truth();
  assert(glass || (g0 >= 1 && g1 >= 2));            /* I1 I2 I3 I6 I7 */
  assert(!glass || g0 >= 2);                        /* I14: two others, even in an emergency */
  assert(!frozen || glass);                         /* I4 */
  assert(state == APPROVED && !stopped);            /* I4 I8 */
  assert(!newer);                                   /* I5: what is asked now, and not what was asked once */
  assert(!glass || review);                         /* I14: somebody will look at it afterwards */
  g0 = 0; g1 = 0; gm = 0
}
inline claims_of_any_start(s) {
  assert(!over);                                    /* I8: what has ended never moves again */
  assert(s == step);                                /* I12: in order, and none that is done */
  assert(permit == 1);                              /* the permit has not ended */
  assert(!stopped);
  assert(spawned[0] + spawned[1] == attempt);       /* I10: whatever ran had its start, committed */
  assert(s == 0 || spawned[1] == 0 || answered)     /* I11 */
}
inline enter(s) {
  assert(!over || state == s);                      /* I8 */
  state = s;
  if :: s == DONE || s == CANCELLED || s == REJECTED || s == EXPIRED -> over = 1 :: else fi
}

/* --- people --- */

proctype Reviewer(byte u) {
  byte seen, s; bit f;
  atomic {                                          /* signoffs.give, of a page that may have been read long ago */
    if :: seen = rev :: rev != 1 -> seen = 1 fi;
    if :: s = 0 :: !glass -> s = 1 fi;
    if :: f = 0 :: from != to && to == u -> f = 1 fi;
    d_step {
          tally();
          if
          :: state == WAITING &&
#ifndef BUG_DIGEST
             seen == rev &&
#endif
             !conflict(u) &&
             voted[u] != rev &&
#ifndef BUG_DELEGATE
             !(f && voted[from] == rev) && !(from != to && from == u && voted[to] == rev && forother[to]) &&
#endif
#ifndef BUG_ORDER
             (s == 0 || c0 >= 1) &&
#endif
             ((!f && member(u, s)) || (f && member(from, s) && from != to)) ->
             voted[u] = rev; stage_of[u] = s; forother[u] = f; at[u] = clock; clock = clock + !glass;
             tally();
             if :: complete() -> enter(APPROVED) :: else fi
          :: else
          fi; c0 = 0; c1 = 0; moment = 0; seen = 0; s = 0; f = 0 }
  }
}
proctype Second() {                                 /* signoffs.withdraw, until the start */
  byte u;
  atomic {
    if :: u = 1 :: u = 2 fi;
    d_step {
    if
    :: voted[u] == rev && (state == WAITING || state == APPROVED) ->
       voted[u] = 0; stage_of[u] = 0; forother[u] = 0; at[u] = 0; tally();
       if :: state == APPROVED && !complete() -> enter(WAITING) :: else fi
#ifdef BUG_TERMINAL
    :: voted[u] == rev && state == CANCELLED -> enter(WAITING)  /* the last state is not looked at */
#endif
    :: else
    fi; c0 = 0; c1 = 0; moment = 0; u = 0 }
  }
}
proctype Veto() {                                   /* somebody of Security says no */
#ifdef BUG_VETO
  d_step { if :: state == WAITING -> over = 1 :: else fi }
#else
  d_step { if :: state == WAITING -> enter(REJECTED) :: else fi }
#endif
}
proctype Requester() {
  if
  :: d_step {                                       /* changes.revise: one edit, which voids what was signed */
       if
       :: state == WAITING || state == APPROVED ->
          rev = 2; newer = 0;                       /* asked under the policy that judges now */
#ifndef BUG_DIGEST
          state = WAITING
#endif
       :: else
       fi }
  :: d_step {                                       /* tries to agree to their own change */
       if
       :: state == WAITING && !conflict(0) -> voted[0] = rev; stage_of[0] = 0; at[0] = clock; clock = clock + !glass; tally();
          if :: complete() -> enter(APPROVED) :: else fi
       :: else
       fi; c0 = 0; c1 = 0; moment = 0 }
  :: d_step {                                       /* stops it */
       if
       :: state == WAITING || state == APPROVED -> enter(CANCELLED)
       :: state == RUNNING -> stopped = 1; if :: !leased -> enter(CANCELLED) :: else fi
       :: else
       fi }
  fi
}
proctype World() {                                  /* what happens without anybody asking */
  byte n = 0;
  do
  :: n < EVENTS -> n++;
     if
     :: d_step { gone[2] = 1 }
     :: d_step { gone[3] = 1 }
     :: d_step { from = 0; to = 0 }                 /* a delegation ends */
     :: d_step { frozen = !frozen }
     :: d_step { newer = 1 }
     :: d_step { if :: state == WAITING || state == APPROVED ->
#ifdef BUG_EXPIRY
                       over = 1                     /* the time is over and nobody looked */
#else
                       enter(EXPIRED)
#endif
                    :: else fi }
     :: d_step { if :: permit == 1 -> permit = 2 :: else fi }
     :: d_step { if :: leased && state == RUNNING -> /* reconcile: the lease is over */
                       leased = 0;
#ifndef BUG_ONCE
                       if :: step == 1 -> state = UNKNOWN :: else fi
#endif
                    :: else fi }
     :: d_step { if :: state == UNKNOWN -> answered = 1; state = RUNNING :: else fi }  /* a person says: again */
     fi
  :: n == EVENTS -> break
  od
}

/* --- workers: a wake-up is only a try, and tries are free --- */

inline gate_first(ok) {
  tally();
  ok = state == APPROVED && complete() && !leased &&
#ifndef BUG_FREEZE
       (!frozen || glass) &&
#endif
#ifndef BUG_POLICY
       !newer &&
#endif
       !stopped;
  c0 = 0; c1 = 0; moment = 0
}
inline issue(ok) {
  if
  :: ok ->
#ifndef BUG_REVIEW
     if :: glass -> review = 1 :: else fi;
#endif
     claims_of_a_first_start();
     permit = 1; enter(RUNNING)
  :: else
  fi
}
inline gate_later(ok) {
  ok = state == RUNNING && !leased &&
#ifndef BUG_PREDECESSOR
       step < 2 &&
#endif
#ifndef BUG_PERMIT
       permit == 1 &&
#endif
#ifndef BUG_STOP
       !stopped &&
#endif
       step < 2
}
inline lease(ok, w, my, mine) {
  if
  :: ok ->
#ifdef BUG_PREDECESSOR
     if :: step == 0 && spawned[0] == 1 -> mine = 1 :: else -> mine = step fi;
#else
     mine = step;
#endif
     claims_of_any_start(mine);
     leased = 1; attempt++; my = attempt; holder = w; spawned[mine]++
  :: else
  fi
}
proctype Worker(byte w; byte tries) {
  byte my, mine; bit ok;
  do
  :: tries > 0 -> tries--;
#ifdef BUG_COMMIT                                   /* starts, and its transaction is rolled back afterwards */
     if
     :: d_step { ok = 0; if :: state == APPROVED -> gate_first(ok) :: else fi; if :: ok -> spawned[0]++ :: else fi; ok = 0 }
     :: skip
     fi;
#endif
#ifdef BUG_SPLIT
     d_step { ok = 0; if :: state == APPROVED -> gate_first(ok) :: else fi };
     d_step { issue(ok); if :: !ok -> gate_later(ok) :: else fi; lease(ok, w, my, mine) };
#else
     d_step {
       ok = 0;
       if :: state == APPROVED -> gate_first(ok); issue(ok) :: else -> gate_later(ok) fi;
       lease(ok, w, my, mine)
     };
#endif
     if
     :: ok ->                                       /* the step runs here; then it is reported, however late */
        d_step {
          if
#ifdef BUG_FENCE
          :: state == RUNNING && step == mine ->
#else
          :: state == RUNNING && leased && attempt == my && holder == w ->
#endif
             assert(leased && attempt == my);       /* I9: only who holds the step ends it */
             leased = 0; step++;
             if :: stopped -> enter(CANCELLED) :: step == 2 && !stopped -> enter(DONE) :: else fi
          :: else
          fi; my = 0; mine = 0; ok = 0 }
     :: else
     fi
  :: tries == 0 -> break
  od
}

init {
  atomic {
#if SCENE == 1
    from = 3; to = 1;             /* 3 has given their voice to 1 */
#elif SCENE == 2
    from = 0; to = 3;             /* the requester has given theirs to 3 */
#elif SCENE == 3
    glass = 1; if :: skip :: from = 3; to = 1 fi;
#endif
    run Reviewer(1); run Reviewer(2); run Reviewer(3); run Reviewer(2); run Second();
    run Veto(); run Requester(); run World(); run Worker(0, 2); run Worker(1, 1)
  }
}
