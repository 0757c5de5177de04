/* Moves experts between a model's files and their places in the engine's mapping of those files.
 *
 * A place is a run of whole pages of the mapping. It shows either the file itself or a copy of the same bytes in a slot
 * of `memory`, so that whoever reads it reads the right bytes at any time; only how long that takes differs. Pages that
 * two experts share are in both experts' copies.
 *
 * Threads read; store.py decides what, and asks for a table whose state they keep up to date. Plain C with POSIX, and no
 * headers of Python.
 */
#define _GNU_SOURCE
#include "planes.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT

enum { ABSENT, QUEUED, READING, RESIDENT, FAILED }; /* states of an expert */
enum { CHANGED = -1, ENDED = -2 };                  /* beside errno: why a read failed */
enum { TRIES = 8 };                                 /* reads in one place that bring less than a page */

typedef struct { /* whole pages that hold one expert's slice of one tensor */
    char *place;    /* in the engine's mapping */
    int64_t offset; /* in the file; the place shows these bytes */
    int64_t length;
    int64_t room; /* where in a slot their copy lies */
    int32_t file;
    int32_t shares; /* 1: its first page is also the last of the expert before, 2: its last is the next one's first */
} Piece;

typedef struct { /* what stands in for a piece where low precision will do: whole pages of another file */
    int64_t offset;
    int64_t length; /* `head` bytes as they are in the model, low blocks, `tail` bytes as they are, and nothing more */
    int64_t blocks;
    int32_t head;
    int32_t tail;
    int32_t format; /* of planes.h */
    int32_t packed; /* bytes of one low block, */
    int32_t whole;  /* and of the block it becomes */
    int32_t file;
    uint8_t table[16];
} Low;

typedef struct {
    int direct; /* descriptors: to read from, past the page cache where that is possible; to map from */
    int plain;
    int64_t size; /* when it was opened */
    int64_t seconds;
    int64_t nanoseconds;
} File;

typedef struct {
    const Piece *pieces; /* `per_expert` of every expert; those not needed have length 0 */
    const Low *lows;     /* of every piece, or NULL */
    const File *files;
    volatile uint8_t *state; /* of every expert */
    int64_t *slot;           /* of every expert: where in `memory` its copy begins, or -1 */
    int32_t *failed_piece;   /* of every expert that failed */
    int32_t *failure;        /* errno, CHANGED or ENDED */
    int64_t *read;           /* bytes of every expert so far */
    char *memory;            /* all slots, as they are filled */
    int memory_file;         /* all slots, as they are mapped */
    int32_t experts;
    int32_t per_expert;
    int32_t page;
    int64_t staging; /* bytes of the longest low piece, which every thread reads before it is expanded */
} Table;

typedef struct Job { /* one expert, whose pieces are read side by side */
    struct Job *next;
    int64_t slot;
    int32_t expert, victim;
    int32_t begun, left; /* pieces handed out, and those not done */
    int32_t problem;     /* why the first of them failed that did */
    int32_t low;         /* read what stands in for it */
} Job;

typedef struct {
    Job *first, *last;
} Queue;

typedef struct {
    Table table;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    Queue urgent, later;
    uint8_t *disturbed; /* of every expert: some of its copy was hidden while it was read */
    pthread_t *threads;
    int count, ending;
    int64_t bytes, reads, nanoseconds; /* read so far; the time is that of all threads together */
} Store;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t) time.tv_sec * 1000000000 + time.tv_nsec;
}

static void append(Queue *queue, Job *job) {
    job->next = NULL;
    if (queue->last) queue->last->next = job;
    else queue->first = job;
    queue->last = job;
}

static Job *removed(Queue *queue) {
    Job *job = queue->first;
    if (job && !(queue->first = job->next)) queue->last = NULL;
    return job;
}

static int map(char *place, int64_t length, int file, int64_t offset, int flags) {
    return mmap(place, (size_t) length, PROT_READ, MAP_SHARED | MAP_FIXED | flags, file, offset) == MAP_FAILED ? errno : 0;
}

/* Shows the file again where an expert's copy was shown; pages shared with a resident neighbour show its copy, and one
 * that is being read shows its own again once it is there. */
static int hide(Store *store, int32_t expert) {
    const Table *table = &store->table;
    int problem = 0;
    for (int i = 0; i < table->per_expert; i++) {
        const Piece *piece = &table->pieces[(int64_t) expert * table->per_expert + i];
        if (!piece->length) continue;
        int64_t start = 0, end = piece->length;
        for (int side = 1; side <= 2; side++) {
            int32_t other = expert + (side == 1 ? -1 : 1);
            if (piece->shares & side && table->state[other] == READING) store->disturbed[other] = 1;
            if (!(piece->shares & side) || table->state[other] != RESIDENT || table->slot[other] < 0) continue;
            const Piece *near = &table->pieces[(int64_t) other * table->per_expert + i];
            int64_t at = side == 1 ? near->length - table->page : 0;
            char *place = side == 1 ? piece->place : piece->place + piece->length - table->page;
            if (map(place, table->page, table->memory_file, table->slot[other] + near->room + at, 0)) continue;
            if (side == 1) start += table->page;
            else end -= table->page;
        }
        if (start >= end || problem) continue;
        problem = map(piece->place + start, end - start, table->files[piece->file].plain, piece->offset + start, 0);
        /* A page that is looked at all the same must not bring in megabytes of others. */
        madvise(piece->place + start, (size_t) (end - start), MADV_RANDOM);
    }
    return problem;
}

static int unchanged(const File *file) {
    struct stat about;
    return !fstat(file->plain, &about) && about.st_size == file->size && about.st_mtim.tv_sec == file->seconds &&
           about.st_mtim.tv_nsec == file->nanoseconds;
}

/* Bytes [offset, offset + length) of a file, less what lies beyond its end. */
static int fetch(const File *file, char *to, int64_t length, int64_t offset, int page) {
    int64_t done = 0, whole = offset + length > file->size ? file->size - offset : length;
    int tries = 0;
    while (done < whole) {
        struct iovec part = {to + done, (size_t) (length - done)};
        ssize_t got = preadv(file->direct, &part, 1, offset + done);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got < 0) return errno;
        if (got == 0) return ENDED;
        done += got;
        if (done < whole) done -= done % page; /* direct reads begin at whole pages */
        tries = got < page ? tries + 1 : 0;
        if (done < whole && tries == TRIES) return ENDED;
    }
    /* What came through the system's cache is in memory twice now. */
    if (file->direct == file->plain) posix_fadvise(file->plain, offset, length, POSIX_FADV_DONTNEED);
    return 0;
}

/* Bytes of a file that is still the one that was opened. */
static int fetch_unchanged(const File *file, char *to, int64_t length, int64_t offset, int page) {
    if (!unchanged(file)) return CHANGED;
    int problem = fetch(file, to, length, offset, page);
    if (problem) return problem;
    return unchanged(file) ? 0 : CHANGED;
}

/* What a piece becomes of what stands in for it, `packed`. */
static void expand(const Low *low, const char *packed, char *to, int64_t length) {
    int64_t blocks = low->blocks * low->whole, done = low->head + blocks + low->tail;
    memcpy(to, packed, (size_t) low->head);
    accel_planes_expand(low->format, low->table, (const uint8_t *) packed + low->head, (uint8_t *) to + low->head, low->blocks);
    memcpy(to + low->head + blocks, packed + low->head + low->blocks * low->packed, (size_t) low->tail);
    if (done < length) memset(to + done, 0, (size_t) (length - done)); /* beyond the file's end */
}

/* Reads one piece, or what stands in for it, into the job's slot and shows it in its place; how many bytes were read. */
static int64_t load(const Table *table, int64_t number, const Job *job, char *staging, int *problem) {
    const Piece *piece = &table->pieces[number];
    if (!piece->length) return 0;
    char *to = table->memory + job->slot + piece->room;
    int64_t length = piece->length;
    if (job->low) {
        const Low *low = &table->lows[number];
        length = low->length;
        *problem = fetch_unchanged(&table->files[low->file], staging, length, low->offset, table->page);
        if (!*problem) expand(low, staging, to, piece->length);
    } else {
        *problem = fetch_unchanged(&table->files[piece->file], to, length, piece->offset, table->page);
    }
    if (!*problem) *problem = map(piece->place, piece->length, table->memory_file, job->slot + piece->room, 0);
    return *problem ? 0 : length;
}

/* The next piece to be read, of an urgent job first: its number, and its job; NULL where there is nothing to do. */
static Job *begun(Store *store, int32_t *piece) {
    Table *table = &store->table;
    Queue *queue = store->urgent.first ? &store->urgent : &store->later;
    Job *job = queue->first;
    if (!job) return NULL;
    *piece = job->begun++;
    if (!*piece) {
        table->state[job->expert] = READING;
        /* Read again meanwhile, into another slot, by a job that overtook this one? */
        uint8_t state = job->victim >= 0 ? table->state[job->victim] : RESIDENT;
        if (state == READING) store->disturbed[job->victim] = 1;
        if (state != RESIDENT) hide(store, job->victim);
    }
    if (job->begun == table->per_expert) removed(queue);
    return job;
}

/* Shows an expert's copy in all its places. */
static int show(const Table *table, int32_t expert, int64_t slot) {
    for (int i = 0; i < table->per_expert; i++) {
        const Piece *piece = &table->pieces[(int64_t) expert * table->per_expert + i];
        if (!piece->length) continue;
        int problem = map(piece->place, piece->length, table->memory_file, slot + piece->room, 0);
        if (problem) return problem;
    }
    return 0;
}

/* A piece is done: the last of them settles what became of the expert. */
static void ended(Store *store, Job *job, int32_t piece, int problem) {
    Table *table = &store->table;
    if (problem && !job->problem) {
        job->problem = problem;
        table->failed_piece[job->expert] = piece;
    }
    if (--job->left) return;
    if (store->disturbed[job->expert] && !job->problem) job->problem = show(table, job->expert, job->slot);
    store->disturbed[job->expert] = 0;
    if (job->problem) hide(store, job->expert);
    store->reads += 1;
    table->failure[job->expert] = job->problem;
    table->slot[job->expert] = job->problem ? -1 : job->slot;
    table->state[job->expert] = job->problem ? FAILED : RESIDENT;
    free(job);
    pthread_cond_broadcast(&store->done);
}

static void *serve(void *argument) {
    Store *store = argument;
    void *staging = NULL; /* a thread without it fails what it would need it for */
    if (store->table.staging && posix_memalign(&staging, (size_t) store->table.page, (size_t) store->table.staging))
        staging = NULL;
    pthread_mutex_lock(&store->lock);
    for (;;) {
        Job *job;
        int32_t number = 0;
        while (!(job = begun(store, &number)) && !store->ending) pthread_cond_wait(&store->work, &store->lock);
        if (!job) break;
        pthread_mutex_unlock(&store->lock);

        int64_t start = now(), read = 0;
        int problem = job->low && !staging ? ENOMEM : 0;
        if (!problem) read = load(&store->table, (int64_t) job->expert * store->table.per_expert + number, job, staging, &problem);
        int64_t spent = now() - start;

        pthread_mutex_lock(&store->lock);
        store->nanoseconds += spent;
        store->bytes += read;
        store->table.read[job->expert] += read;
        ended(store, job, number, problem);
    }
    pthread_mutex_unlock(&store->lock);
    free(staging);
    return NULL;
}

EXPORT void accel_store_close(Store *store) {
    pthread_mutex_lock(&store->lock);
    store->ending = 1;
    for (Job *job; (job = removed(&store->urgent)) || (job = removed(&store->later));) {
        job->left -= store->table.per_expert - job->begun; /* those that are read now; the last one frees it */
        if (!job->left) free(job);
    }
    pthread_cond_broadcast(&store->work);
    pthread_mutex_unlock(&store->lock);
    for (int i = 0; i < store->count; i++) pthread_join(store->threads[i], NULL);
    free(store->threads);
    free(store->disturbed);
    free(store);
}

/* The table's arrays must outlive the store. NULL where there is no memory or no thread to be had. */
EXPORT Store *accel_store_open(const Table *table, int threads) {
    Store *store = calloc(1, sizeof *store);
    if (!store) return NULL;
    store->table = *table;
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->work, NULL);
    pthread_cond_init(&store->done, NULL);
    store->disturbed = calloc((size_t) table->experts, 1);
    store->threads = calloc((size_t) threads, sizeof *store->threads);
    while (store->disturbed && store->threads && store->count < threads &&
           !pthread_create(&store->threads[store->count], NULL, serve, store))
        store->count++;
    if (store->threads && store->count == threads) return store;
    accel_store_close(store);
    return NULL;
}

/* Has an expert read into a slot, and shown there instead of the victim that the slot held (-1: none), which is absent
 * from now on: an absent expert, or a resident one anew into its own slot, while nobody looks at it. `low`: what stands
 * in for it. Urgent reads overtake the others. 0 where there is no memory for it. */
EXPORT int accel_store_load(Store *store, int32_t expert, int32_t victim, int64_t slot, int urgent, int low) {
    Job *job = malloc(sizeof *job);
    if (!job) return 0;
    *job = (Job){NULL, slot, expert, victim, 0, store->table.per_expert, 0, low};
    pthread_mutex_lock(&store->lock);
    if (victim >= 0) {
        store->table.state[victim] = ABSENT;
        store->table.slot[victim] = -1;
    }
    store->table.state[expert] = QUEUED;
    append(urgent ? &store->urgent : &store->later, job);
    pthread_cond_broadcast(&store->work);
    pthread_mutex_unlock(&store->lock);
    return 1;
}

/* Makes reads urgent that still wait in the queue. */
EXPORT void accel_store_hurry(Store *store, int32_t expert) {
    pthread_mutex_lock(&store->lock);
    Job *before = NULL, *job = store->later.first;
    while (job && job->expert != expert) before = job, job = job->next;
    if (job) {
        if (before) before->next = job->next;
        else store->later.first = job->next;
        if (store->later.last == job) store->later.last = before;
        append(&store->urgent, job);
    }
    pthread_mutex_unlock(&store->lock);
}

/* Waits until none of these is queued or being read, `seconds` at most. 0 where all are resident, 1 where one failed,
 * 2 where the time is over. */
EXPORT int accel_store_wait(Store *store, const int32_t *experts, int count, double seconds) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    int64_t nanoseconds = end.tv_nsec + (int64_t) (seconds * 1e9);
    end.tv_sec += nanoseconds / 1000000000;
    end.tv_nsec = nanoseconds % 1000000000;
    int result = 0;
    pthread_mutex_lock(&store->lock);
    for (int i = 0; i < count && result != 2; i++) {
        volatile uint8_t *state = &store->table.state[experts[i]];
        while ((*state == QUEUED || *state == READING) && result != 2)
            if (pthread_cond_timedwait(&store->done, &store->lock, &end) == ETIMEDOUT) result = 2;
        if (*state == FAILED && !result) result = 1;
    }
    pthread_mutex_unlock(&store->lock);
    return result;
}

/* Takes a resident expert's copy away. Nobody may be waiting for it. */
EXPORT int accel_store_evict(Store *store, int32_t expert) {
    pthread_mutex_lock(&store->lock);
    store->table.state[expert] = ABSENT;
    store->table.slot[expert] = -1;
    int problem = hide(store, expert);
    pthread_mutex_unlock(&store->lock);
    return problem;
}

/* Bytes and experts read so far, and nanoseconds that the threads spent on it: each as it was at some moment. */
EXPORT void accel_store_counts(Store *store, int64_t *counts) {
    counts[0] = __atomic_load_n(&store->bytes, __ATOMIC_RELAXED);
    counts[1] = __atomic_load_n(&store->reads, __ATOMIC_RELAXED);
    counts[2] = __atomic_load_n(&store->nanoseconds, __ATOMIC_RELAXED);
}
