/* One consumer of the simulation: a machine, and its drivers made of the models. */
#ifndef CITYTOTALS_SIMULATION_ACTOR_H
#define CITYTOTALS_SIMULATION_ACTOR_H

#include "tests/simulation/world.h"

void actor_start(struct world *world, struct actor *actor, bool until_end);
/* As by SIGKILL; what it has sent may still be carried out. */
void actor_kill(struct world *world, struct actor *actor);
/* Its connection breaks: the request is lost, carried out without a reply, or carried out later. */
void actor_cut(struct world *world, struct actor *actor);
/* Do what its machine asks for and let it step on. */
void actor_turn(struct world *world, struct actor *actor);
/* Redis carries out a commit that has been sent. */
void request_execute(struct world *world, struct request *request);
void request_drop(struct request *request);

#endif
