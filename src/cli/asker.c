/* asker.c - see asker.h. */
#include "cli/asker.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "serve/ask.h"

#define STATUS_NS 4000000000ll  /* for an answer about the state */
#define DONE_NS   30000000000ll /* until something has happened */

char *asker_ask(const struct asker *asker, struct dao_text *why)
{
    return ask(asker->socket, "status", NULL, STATUS_NS, why);
}

/* ---- the threads ---- */

/* Sleeps that long, unless it ends. With the lock held. */
static void rest(struct asker *asker, int64_t ns)
{
    int64_t until_ns = dao_clock_mono_ns() + ns;
    struct timespec until = {until_ns / 1000000000ll, until_ns % 1000000000ll};

    while (!asker->ending && dao_clock_mono_ns() < until_ns)
        pthread_cond_timedwait(&asker->wake, &asker->lock, &until);
}

static void *ask_again_and_again(void *arg)
{
    struct asker *asker = arg;

    pthread_mutex_lock(&asker->lock);
    while (!asker->ending) {
        struct dao_text why = {""};
        char *answer;

        pthread_mutex_unlock(&asker->lock);
        answer = asker_ask(asker, &why);
        pthread_mutex_lock(&asker->lock);
        asker->silence[0] = '\0';
        if (!answer)
            snprintf(asker->silence, sizeof asker->silence,
                     "no answer, and this is what it said last: %.300s", why.s);
        if (answer) {
            free(asker->answer);
            asker->answer = answer;
        }
        rest(asker, asker->every_ns);
    }
    pthread_mutex_unlock(&asker->lock);
    return NULL;
}

/* What an answer says for people. */
static void read_outcome(char *ret, size_t bytes, const char *verb, const char *line)
{
    json_t *answer = json_loads(line, 0, NULL);
    const char *error = json_string_value(json_object_get(answer, "error"));
    const char *note = json_string_value(json_object_get(answer, "note"));

    if (json_is_true(json_object_get(answer, "ok")))
        snprintf(ret, bytes, "%s: done%s%s", verb, note ? ", " : "", note ? note : "");
    else
        snprintf(ret, bytes, "%s: %s", verb, error ? error : "it was not done");
    json_decref(answer);
}

static void *run_errand(void *arg)
{
    struct asker *asker = arg;
    struct errand *errand = &asker->errand;
    struct dao_text why = {""};
    char *answer =
        ask(asker->socket, errand->verb, errand->text[0] ? errand->text : NULL, DONE_NS, &why);

    pthread_mutex_lock(&asker->lock);
    if (answer)
        read_outcome(asker->message, sizeof asker->message, errand->verb, answer);
    else
        snprintf(asker->message, sizeof asker->message, "%s: %.300s", errand->verb, why.s);
    asker->is_busy = false;
    pthread_mutex_unlock(&asker->lock);
    free(answer);
    return NULL;
}

/* ---- for the main thread ---- */

/* One that nobody waits for: at the end an answer may be seconds away. */
static bool start_thread(void *(*run)(void *), struct asker *asker)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, run, asker) != 0)
        return false;
    pthread_detach(thread);
    return true;
}

void asker_do(struct asker *asker, const char *verb, const char *text)
{
    struct errand *errand = &asker->errand;
    bool is_busy;

    pthread_mutex_lock(&asker->lock);
    is_busy = asker->is_busy;
    asker->is_busy = true;
    if (!is_busy)
        snprintf(asker->message, sizeof asker->message, "%s ...", verb);
    pthread_mutex_unlock(&asker->lock);
    if (is_busy)
        return;
    errand->verb = verb;
    snprintf(errand->text, sizeof errand->text, "%s", text);
    if (!start_thread(run_errand, asker)) {
        pthread_mutex_lock(&asker->lock);
        asker->is_busy = false;
        snprintf(asker->message, sizeof asker->message, "%s: no thread can be started", verb);
        pthread_mutex_unlock(&asker->lock);
    }
}

bool asker_start(struct asker *asker)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&asker->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&asker->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return start_thread(ask_again_and_again, asker);
}

char *asker_take(struct asker *asker, char *why, bool *ret_is_new)
{
    char *answer;

    pthread_mutex_lock(&asker->lock);
    answer = asker->answer;
    asker->answer = NULL;
    *ret_is_new = answer || strcmp(why, asker->silence) != 0 || asker->message[0];
    snprintf(why, ASKER_WHY_BYTES, "%s", asker->silence);
    pthread_mutex_unlock(&asker->lock);
    return answer;
}

void asker_copy_message(struct asker *asker, char *message)
{
    pthread_mutex_lock(&asker->lock);
    snprintf(message, ASKER_WHY_BYTES, "%s", asker->message);
    pthread_mutex_unlock(&asker->lock);
}

void asker_clear_message(struct asker *asker)
{
    pthread_mutex_lock(&asker->lock);
    if (!asker->is_busy)
        asker->message[0] = '\0';
    pthread_mutex_unlock(&asker->lock);
}

void asker_end(struct asker *asker)
{
    pthread_mutex_lock(&asker->lock);
    asker->ending = true;
    pthread_cond_signal(&asker->wake);
    pthread_mutex_unlock(&asker->lock);
}
