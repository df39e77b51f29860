/* Plan, review, apply, and a step that a person does, as a second finite model (Promela, for Spin 6.5).

   Like gate.pml: each d_step is one transaction under the lock of the change, anything may come between two of them, and
   the ghosts never look at what the gate looked at. Two reviewers of one stage of quorum 2, plan steps that look at a
   world which changes, one edit of a row by somebody with SQL, two workers, and a first apply step that a person does.
   How people are counted is gate.pml's matter: here each agrees to what they saw or not. */

#define DRAFT 0
#define WAITING 1
#define APPROVED 2
#define RUNNING 3
#define DONE 4
#define CANCELLED 5
#define FAILED 6
#define NOBODY 0
#define PLAN 1
#define APPLY 2

byte state = DRAFT;
byte world = 1;                   /* what a plan would find now */
byte rev = 0;                     /* 0: nothing was put before anybody yet */
byte named;                       /* the artifact that the revision names by its digest */
byte bytes;                       /* the artifact as it lies in its row */
byte planned;                     /* what the newest plan run found; 0 while it looks */
bit looks, plan_permit, apply_permit;
byte voted[3], saw[3];            /* the revision that was signed, and the artifact that stood on the page; 0 requests */
byte step = 0;                    /* of the apply run: 0 is done by a person, 1 applies */
bit asking, leased, answered, stopped, over;
byte answers, applied, holder;

#define agreed() (voted[1] == rev && voted[2] == rev && rev != 0)

inline enter(s) {
  assert(!over || state == s);                      /* I8 */
  state = s;
  if :: s == DONE || s == CANCELLED || s == FAILED -> over = 1 :: else fi
}
inline claims_of_a_plan_start() {
  assert(looks && plan_permit && !leased)           /* I1: plan steps alone, under a permit of their own kind */
}
inline claims_of_an_apply_start() {
  assert(state == RUNNING && apply_permit && !stopped);   /* I1 I4: never under the permit of a plan */
  assert(saw[1] != 0 && saw[1] == saw[2])           /* I3: both saw one and the same plan */
}

/* --- what happens by itself --- */

proctype World() {
  byte n = 0;
  do
  :: n < 2 -> n++;
     if
     :: d_step { world = 3 - world }                /* upstream changes, and may change back */
     :: d_step { if :: bytes != 0 -> bytes = 3 :: else fi }     /* SQL: the row of the artifact is exchanged */
     :: d_step { if :: !looks && state <= APPROVED && !over -> looks = 1; planned = 0; plan_permit = 0 :: else fi }  /* plan again */
     :: d_step { if :: state == RUNNING -> stopped = 1; asking = 0; if :: !leased -> enter(CANCELLED) :: else fi
                    :: state < RUNNING && state != DRAFT -> enter(CANCELLED)
                    :: else fi }
     fi
  :: n == 2 -> break
  od
}

/* planning.settle: what was found is put before people, or it is what they signed already */
proctype Planner() {
  byte n = 0;
  do
  :: n < 2 -> n++;
     d_step {
       if
       :: !looks && planned != 0 && !over && state <= APPROVED ->
          if
#ifdef BUG_SAMETITLE                                /* a plan that differs keeps what was signed */
          :: rev != 0 && state != DRAFT -> bytes = planned; named = planned
#else
          :: rev != 0 && state != DRAFT && planned == named -> skip
#endif
#ifdef BUG_NOVOID                                   /* what was approved stays so when another plan was found */
          :: state == APPROVED -> rev++; named = planned; bytes = planned
#endif
          :: else -> rev++; named = planned; bytes = planned; state = WAITING
          fi;
          planned = 0
       :: else
       fi }
  :: n == 2 -> break
  od
}

/* --- people --- */

proctype Reviewer(byte u; byte tries) {
  byte page; byte n = 0;
  do
  :: n < tries -> n++;
     atomic {
       if :: page = rev :: rev > 1 -> page = rev - 1 fi;       /* the page may have been read before the plan was anew */
       d_step {
         if
         :: state == WAITING && page == rev && rev != 0 ->
            voted[u] = rev; saw[u] = named;
            if :: agreed() -> enter(APPROVED) :: else fi
         :: else
         fi; page = 0 }
     }
  :: n == tries -> break
  od
}
inline answer(who) {
  if
#ifdef BUG_TWICE                                    /* what was answered is answered again */
  :: (asking || answered) && state == RUNNING && step <= 1 && who != 0 ->
#elif defined(BUG_OWN)
  :: asking && state == RUNNING ->
#elif defined(BUG_LATE)                             /* an answer after somebody stopped the run */
  :: (asking || (stopped && step == 0)) && who != 0 ->
#else
  :: asking && state == RUNNING && who != 0 ->
#endif
     assert(who != 0);                              /* I6: whoever asked for it does not vouch for it */
     assert(!stopped && !over);                     /* I8 */
     answers++;
     assert(answers == 1);                          /* I9: one answer counts */
     asking = 0; answered = 1; step = 1
  :: else
  fi
}
proctype Doer() { d_step { answer(1) }; d_step { answer(2) } }
proctype Own() { d_step { answer(0) } }

/* --- workers --- */

proctype Worker(byte w; byte tries) {
  byte mine, what = NOBODY;
  do
  :: tries > 0 -> tries--;
     d_step {                                       /* the claim: one of the runs has something ready */
       if
       :: looks && !leased && state <= APPROVED && !over ->
          plan_permit = 1; claims_of_a_plan_start(); leased = 1; holder = w; what = PLAN
#ifdef BUG_PLANPERMIT                               /* any permit of the change is good for any of its runs */
       :: !looks && !leased && plan_permit && rev != 0 && state == WAITING && step == 0 && !over ->
          state = RUNNING; step = 1; what = APPLY; claims_of_an_apply_start(); leased = 1; holder = w
#endif
#ifdef BUG_ASKGATE                                  /* a person is asked before anybody has agreed */
       :: state == WAITING && !asking && step == 0 && !looks -> asking = 1; assert(apply_permit)  /* I1 */
#endif
       :: state == APPROVED && !looks && !leased && planned == 0 && step == 0 && !asking &&
#ifndef BUG_NOVOID
          agreed() &&
#endif
          !stopped ->
          apply_permit = 1; enter(RUNNING);
          assert(voted[1] == rev && voted[2] == rev);           /* I1 I3 */
          claims_of_an_apply_start(); asking = 1                /* no lease: a person does it */
       :: state == RUNNING && step == 1 && !leased && !stopped && applied == 0 ->
          if
#ifndef BUG_BYTES                                   /* the bytes are handed over and never hashed */
          :: bytes != named -> enter(FAILED)
#endif
          :: else ->
             claims_of_an_apply_start(); leased = 1; holder = w; what = APPLY; mine = bytes
          fi
       :: else
       fi };
     if
     :: what == PLAN -> d_step { if :: leased && holder == w -> leased = 0; looks = 0; planned = world :: else fi; what = NOBODY }
     :: what == APPLY ->
        d_step {                                    /* the effect: what was handed over is done */
          applied = mine;
          assert(applied == saw[1] && applied == saw[2]);       /* I2: exactly what each reviewer saw */
          assert(answers == 1);                     /* I12: after the step that a person does */
          leased = 0; what = NOBODY; mine = 0;
          if :: stopped -> enter(CANCELLED) :: else -> enter(DONE) fi }
     :: else
     fi
  :: tries == 0 -> break
  od
}

init {
  atomic {
    looks = 1;                    /* somebody asked: plan steps look first, before anybody is asked */
    run Reviewer(1, 2); run Reviewer(2, 1); run Doer(); run Own(); run Planner(); run World();
    run Worker(1, 3); run Worker(2, 1)
  }
}
