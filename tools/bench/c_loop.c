/* The rival of tools/bench/chat_path.py: llama_decode plus llama.cpp's own sampler chain, in one process, in C.
 *
 * c_loop MODEL CONTEXT UBATCH THREADS THREADS_PREFILL KV(f16|q8_0) REPACK(0|1), then on stdin, answered in seconds:
 *   T n t1 ... tn  the prompt
 *   P n            forget everything, prefill the first n tokens of the prompt, sample one
 *   D n t1 ... tn  answer the prompt, whose prefill does not count: decode these n tokens one by one, each time sampling
 *                  the next and looking its text up, whatever it is
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "llama.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void quiet(enum ggml_log_level level, const char *text, void *data) {
    (void) data;
    if (level >= GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static void die(const char *what) {
    fprintf(stderr, "c_loop: %s\n", what);
    exit(1);
}

/* Forgets everything, prefills n tokens and samples one; the seconds of it. */
static double prefill(struct llama_context *ctx, struct llama_sampler *chain, llama_token *tokens, int n) {
    double start = now();
    int most = llama_n_batch(ctx);
    llama_memory_clear(llama_get_memory(ctx), false);
    for (int i = 0; i < n; i += most)
        if (llama_decode(ctx, llama_batch_get_one(tokens + i, n - i < most ? n - i : most))) die("prefill failed");
    llama_sampler_sample(chain, ctx, -1);
    return now() - start;
}

/* The seconds that it takes to decode an answer's tokens. */
static double answer(struct llama_context *ctx, struct llama_sampler *chain, llama_token *tokens, int n) {
    const struct llama_vocab *vocab = llama_model_get_vocab(llama_get_model(ctx));
    char text[256];
    double start = now();
    for (int i = 0; i < n; i++) {
        if (llama_decode(ctx, llama_batch_get_one(&tokens[i], 1))) die("decode failed");
        llama_token_to_piece(vocab, llama_sampler_sample(chain, ctx, -1), text, sizeof text, 0, true);
    }
    return now() - start;
}

static void read_tokens(llama_token *tokens, int n) {
    for (int i = 0; i < n; i++)
        if (scanf("%d", &tokens[i]) != 1) die("a token is missing");
}

int main(int argc, char **argv) {
    if (argc != 8) die("usage: c_loop MODEL CONTEXT UBATCH THREADS THREADS_PREFILL KV REPACK");
    llama_log_set(quiet, NULL);
    llama_backend_init();
    struct llama_model_params mp = llama_model_default_params();
    mp.n_gpu_layers = 0;
    mp.use_extra_bufts = atoi(argv[7]);
    struct llama_model *model = llama_model_load_from_file(argv[1], mp);
    if (!model) die("the model does not load");
    struct llama_context_params cp = llama_context_default_params();
    cp.n_ctx = atoi(argv[2]);
    cp.n_batch = cp.n_ubatch = atoi(argv[3]);
    cp.n_threads = atoi(argv[4]);
    cp.n_threads_batch = atoi(argv[5]);
    cp.type_k = cp.type_v = strcmp(argv[6], "q8_0") ? GGML_TYPE_F16 : GGML_TYPE_Q8_0;
    cp.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    struct llama_context *ctx = llama_init_from_model(model, cp);
    if (!ctx) die("the context does not start");
    struct llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    llama_sampler_chain_add(chain, llama_sampler_init_top_k(40));
    llama_sampler_chain_add(chain, llama_sampler_init_top_p(0.95f, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_temp(0.8f));
    llama_sampler_chain_add(chain, llama_sampler_init_dist(1));

    llama_token *prompt = malloc(sizeof *prompt * cp.n_ctx), *tokens = malloc(sizeof *tokens * cp.n_ctx);
    char command;
    int n, length = 0;
    puts("ready");
    fflush(stdout);
    while (scanf(" %c %d", &command, &n) == 2) {
        double seconds = 0;
        if (n < 1 || n > (int) cp.n_ctx) die("a number is out of bounds");
        if (command == 'T') {
            read_tokens(prompt, length = n);
        } else if (command == 'P') {
            seconds = prefill(ctx, chain, prompt, n);
        } else {
            read_tokens(tokens, n);
            prefill(ctx, chain, prompt, length);
            seconds = answer(ctx, chain, tokens, n);
        }
        printf("%.9f\n", seconds);
        fflush(stdout);
    }
    return 0;
}
