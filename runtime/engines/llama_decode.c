/* Decoding one sequence without Python between two tokens: on a small model Python's code and data, which the forward
 * has driven out of the cache, would cost a tenth of the time.
 *
 * Plain C without anybody's headers: llama_decode.py hands over llama.cpp's functions and batch, and the law's function.
 */
#include <stdint.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

typedef struct { /* llama_batch */
    int32_t n_tokens;
    int32_t *token;
    float *embd;
    int32_t *pos;
    int32_t *n_seq_id;
    int32_t **seq_id;
    int8_t *logits;
} Batch;

typedef struct { /* llama_decode, llama_get_logits_ith and what they are called with */
    int32_t (*decode)(void *context, Batch batch);
    float *(*logits)(void *context, int32_t row);
    void *context;
    Batch *batch;
    int64_t vocabulary;
    const uint8_t *ends; /* of every token, whether it ends a turn */
} Engine;

typedef struct { /* accel_choose of sampling.c and what it is called with */
    int64_t (*choose)(const float *logits, int64_t n, uint64_t key, int64_t position, double temperature, int32_t top_k,
                      double top_p, double min_p);
    uint64_t key;
    double temperature;
    int32_t top_k;
    double top_p;
    double min_p;
} Law;

/* Forwards the one row that the batch holds, chooses the next token, forwards that, until `most` are in `chosen`, one
 * of them ends a turn or `stop` is set. How many were chosen; or -1 less that, where a forward or a choice failed: what
 * the cache holds beyond `chosen` rows is then not to be trusted. Others look at `chosen` while this runs: what is not
 * chosen yet is -1 there. */
EXPORT int32_t accel_decode(const Engine *engine, const Law *law, const volatile uint8_t *stop, int32_t most,
                            volatile int32_t *chosen) {
    Batch *batch = engine->batch;
    int32_t count = 0;
    do {
        if (engine->decode(engine->context, *batch)) return -1 - count;
        batch->pos[0]++;
        const float *logits = engine->logits(engine->context, 0);
        if (!logits) return -1 - count;
        int64_t token = law->choose(logits, engine->vocabulary, law->key, batch->pos[0], law->temperature, law->top_k,
                                    law->top_p, law->min_p);
        if (token < 0) return -1 - count;
        batch->token[0] = (int32_t) token;
        chosen[count++] = (int32_t) token;
        if (engine->ends[token]) break;
    } while (count < most && !*stop);
    return count;
}
