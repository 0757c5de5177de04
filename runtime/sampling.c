/* The rule of sampling.py for one row, where top-k bounds what is left: the same operations in the same order.
 *
 * sampling.py defines what is chosen and serves where this file was not compiled; noise.py defines the noise. Plain C
 * without Python's headers: sampling.py loads it as a shared library.
 */
#include <math.h>
#include <stdint.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

enum { MOST = 256, BLOCK = 32, NO_NUMBERS = -1 };

typedef struct {
    double logit;
    int64_t token;
} Candidate;

/* Whether one of BLOCK logits is above the bound, or no number: a loop without a branch, which compilers vectorise. */
static int reaches(const float *logits, float bound) {
    int any = 0;
    for (int i = 0; i < BLOCK; i++) any |= !(logits[i] <= bound);
    return any;
}

/* The k greatest, greatest first, of equals the lowest token first; -inf is never among them. How many there are, or
 * NO_NUMBERS where the row holds NaN or +inf. */
static int greatest(const float *logits, int64_t n, int k, Candidate *found) {
    float bound = -INFINITY; /* the k-th greatest so far: what only equals it comes too late */
    int count = 0;
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t end = start + BLOCK < n ? start + BLOCK : n;
        if (end - start == BLOCK && !reaches(logits + start, bound)) continue;
        for (int64_t token = start; token < end; token++) {
            float logit = logits[token];
            if (logit <= bound) continue;
            if (!(logit < INFINITY)) return NO_NUMBERS;
            int place = count < k ? count++ : k - 1;
            for (; place > 0 && found[place - 1].logit < logit; place--) found[place] = found[place - 1];
            found[place] = (Candidate){logit, token};
            if (count == k) bound = (float) found[k - 1].logit;
        }
    }
    return count;
}

/* How many of the first `count` top-p and min-p leave. */
static int left(const Candidate *found, int count, double top_p, double min_p) {
    double mass[MOST], total = 0;
    int n = count;
    if (top_p < 1) {
        for (int i = 0; i < count; i++) mass[i] = total += exp(found[i].logit - found[0].logit);
        n = 0;
        while (n < count && mass[n] < top_p * total) n++;
        n = n < count ? n + 1 : count;
    }
    if (min_p > 0) {
        double least = found[0].logit + log(min_p);
        while (n > 1 && found[n - 1].logit < least) n--;
    }
    return n;
}

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static double gumbel(uint64_t start, int64_t token) {
    uint64_t bits = mix(start + ((uint64_t) token + 1) * 0x9E3779B97F4A7C15u) >> 12;
    return -log(-log(((double) bits + 0.5) * 0x1p-52));
}

/* The next token, or NO_NUMBERS where the logits are none. `logits`: n of them. `key`: seed_key of noise.py.
 * `top_k`: from 1 to MOST; 1 is greedy. `temperature` is above 0. */
EXPORT int64_t accel_choose(const float *logits, int64_t n, uint64_t key, int64_t position, double temperature,
                            int32_t top_k, double top_p, double min_p) {
    Candidate found[MOST];
    int count = greatest(logits, n, top_k, found);
    if (count < 1) return NO_NUMBERS;
    count = left(found, count, top_p, min_p);
    if (count == 1) return found[0].token;
    uint64_t start = mix(key + (uint64_t) position * 0x9E3779B97F4A7C15u);
    int64_t best = 0;
    double best_score = 0;
    for (int i = 0; i < count; i++) {
        int64_t token = found[i].token;
        double score = found[i].logit / temperature + gumbel(start, token);
        if (!i || score > best_score || (score == best_score && token < best)) best = token, best_score = score;
    }
    return best;
}
