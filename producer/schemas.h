/* `citytotals-producer schemas register|check`. */
#ifndef CITYTOTALS_PRODUCER_SCHEMAS_H
#define CITYTOTALS_PRODUCER_SCHEMAS_H

int producer_schemas(int argc, char **argv);

#endif
