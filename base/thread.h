/* Threads that signals do not reach: a signal is for the thread that waits for it, whose call it has to interrupt. */
#ifndef CITYTOTALS_BASE_THREAD_H
#define CITYTOTALS_BASE_THREAD_H

#include <pthread.h>
#include <signal.h>

/* As pthread_create with the default attributes: 0 or an error number. */
int thread_start(pthread_t *thread, void *(*run)(void *), void *context);
/* Around a library's call that starts threads of its own, which inherit what is blocked. */
void thread_block_signals(sigset_t *ret_before);
void thread_restore_signals(const sigset_t *before);

#endif
