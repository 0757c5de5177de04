/* The rival of tools/bench/chat_path.py: llama_decode plus llama.cpp's own sampler chain, in one process, in C.
 *
 * c_loop MODEL CONTEXT UBATCH THREADS KV(f16|q8_0) REPACK(0|1), then on stdin, one command a line:
 *   P n     forget everything, prefill n tokens, sample one        -> seconds
 *   D n     decode n tokens one by one, each sampled and its text looked up -> seconds
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

int main(int argc, char **argv) {
    if (argc != 7) die("usage: c_loop MODEL CONTEXT UBATCH THREADS KV REPACK");
    llama_log_set(quiet, NULL);
    llama_backend_init();
    struct llama_model_params mp = llama_model_default_params();
    mp.n_gpu_layers = 0;
    mp.use_extra_bufts = atoi(argv[6]);
    struct llama_model *model = llama_model_load_from_file(argv[1], mp);
    if (!model) die("the model does not load");
    struct llama_context_params cp = llama_context_default_params();
    cp.n_ctx = atoi(argv[2]);
    cp.n_batch = cp.n_ubatch = atoi(argv[3]);
    cp.n_threads = cp.n_threads_batch = atoi(argv[4]);
    cp.type_k = cp.type_v = strcmp(argv[5], "q8_0") ? GGML_TYPE_F16 : GGML_TYPE_Q8_0;
    cp.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    struct llama_context *ctx = llama_init_from_model(model, cp);
    if (!ctx) die("the context does not start");
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    struct llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    llama_sampler_chain_add(chain, llama_sampler_init_top_k(40));
    llama_sampler_chain_add(chain, llama_sampler_init_top_p(0.95f, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_temp(0.8f));
    llama_sampler_chain_add(chain, llama_sampler_init_dist(1));

    int capacity = cp.n_ctx, size = llama_vocab_n_tokens(vocab);
    llama_token *tokens = malloc(sizeof *tokens * capacity), token = 1;
    char line[64], command, text[256];
    int n;
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%c %d", &command, &n) != 2 || n < 1 || n > capacity) die("unknown command");
        double start = now();
        if (command == 'P') {
            llama_memory_clear(llama_get_memory(ctx), true);
            for (int i = 0; i < n; i++) tokens[i] = 3 + (i * 7919 + 13) % (size / 2);
            for (int i = 0; i < n; i += cp.n_batch) {
                int rows = n - i < (int) cp.n_batch ? n - i : (int) cp.n_batch;
                if (llama_decode(ctx, llama_batch_get_one(tokens + i, rows))) die("prefill failed");
            }
            token = llama_sampler_sample(chain, ctx, -1);
        } else {
            for (int i = 0; i < n; i++) {
                if (llama_decode(ctx, llama_batch_get_one(&token, 1))) die("decode failed");
                token = llama_sampler_sample(chain, ctx, -1);
                llama_token_to_piece(vocab, token, text, sizeof text, 0, true);
            }
        }
        printf("%.9f\n", now() - start);
        fflush(stdout);
    }
    return 0;
}
