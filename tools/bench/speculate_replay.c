/* A choice that comes out as somebody wrote it: all of the law's work is done, and a recorded token returned. */
#include <stdint.h>

typedef int64_t (*Choose)(const float *logits, int64_t n, uint64_t key, int64_t position, double temperature,
                          int32_t top_k, double top_p, double min_p);

static Choose law;
static const int32_t *tokens;
static int64_t count;

void replay(Choose choose, const int32_t *recorded, int64_t n) {
    law = choose;
    tokens = recorded;
    count = n;
}

int64_t choose_recorded(const float *logits, int64_t n, uint64_t key, int64_t position, double temperature,
                        int32_t top_k, double top_p, double min_p) {
    int64_t token = law(logits, n, key, position, temperature, top_k, top_p, min_p);
    return token >= 0 && position >= 0 && position < count ? tokens[position] : token;
}
