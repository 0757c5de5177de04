/* What store.c reads with, where a test wants reads that are late, interrupted, short or that fail. */
#define _GNU_SOURCE
#undef preadv
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

typedef struct { /* set by the test; nothing happens where all is 0 */
    int64_t delay;     /* nanoseconds that a read takes longer, at most */
    int64_t interrupt; /* one read in so many is interrupted */
    int64_t cut;       /* one read in so many brings less than was asked for */
    int64_t from, to;  /* reads that touch these bytes of a file fail */
    int64_t problem;   /* with this */
    int64_t happened;  /* how many reads were not as they should be */
} Faults;

Faults faults;

static int one_in(int64_t many) { return many > 0 && rand() % many == 0; }

ssize_t faulty_preadv(int file, const struct iovec *part, int count, off_t offset) {
    int64_t length = (int64_t) part->iov_len;
    if (faults.delay > 0) {
        struct timespec time = {0, rand() % faults.delay};
        nanosleep(&time, NULL);
    }
    if (faults.problem && offset < faults.to && offset + length > faults.from) {
        __atomic_add_fetch(&faults.happened, 1, __ATOMIC_SEQ_CST);
        errno = (int) faults.problem;
        return -1;
    }
    if (one_in(faults.interrupt)) {
        __atomic_add_fetch(&faults.happened, 1, __ATOMIC_SEQ_CST);
        errno = EINTR;
        return -1;
    }
    ssize_t got = preadv(file, part, count, offset);
    if (got > 1 && one_in(faults.cut)) {
        __atomic_add_fetch(&faults.happened, 1, __ATOMIC_SEQ_CST);
        ssize_t left = 1 + rand() % (got - 1);
        memset((char *) part->iov_base + left, 0xAA, (size_t) (got - left)); /* nobody may rely on the rest */
        return left;
    }
    return got;
}
