/* Which graph nodes of a forward somebody wants to see: asked about each of a thousand nodes a token, and answered
 * without Python. See llama_taps.py. Plain C without headers of llama.cpp: it is told where a node's name lies. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef struct { /* nodes called PREFIX-LAYER */
    const char *prefix;
    int64_t length;
    const uint8_t *layers; /* whether each is wanted */
} Wanted;

typedef struct {
    const Wanted *wanted;
    int32_t kinds;
    int32_t layers;
    int64_t name; /* where a node's name begins */
    int64_t op;   /* and where its operation stands, an int */
    bool (*call)(void *node, int32_t kind, int32_t layer);
    int32_t idle;   /* the operation of the node that is computed as none now */
    uint8_t failed; /* once set, nothing more is computed */
} Filter;

/* A graph that lies on several devices goes on with the next one's part where a part was ended. What that begins with
 * may be handed experts that nobody chose: it is computed alone, as no operation, and that part is ended too. */
static bool skip(Filter *filter, char *node, bool ask) {
    int32_t *op = (int32_t *) (node + filter->op);
    if (ask) {
        filter->idle = *op;
        *op = 0; /* GGML_OP_NONE */
    } else {
        *op = filter->idle;
    }
    return ask;
}

/* The evaluation callback of a context. */
EXPORT bool accel_visit(void *node, bool ask, void *data) {
    Filter *filter = data;
    if (filter->failed) return skip(filter, node, ask);
    const char *name = (const char *) node + filter->name;
    for (int32_t kind = 0; kind < filter->kinds; kind++) {
        const Wanted *wanted = &filter->wanted[kind];
        if (strncmp(name, wanted->prefix, (size_t) wanted->length) || name[wanted->length] != '-') continue;
        int32_t layer = 0, digits = 0;
        for (const char *at = name + wanted->length + 1; *at >= '0' && *at <= '9' && digits < 7; at++, digits++)
            layer = 10 * layer + (*at - '0');
        if (!digits || name[wanted->length + 1 + digits] || layer >= filter->layers || !wanted->layers[layer]) break;
        if (ask) return true;
        if (filter->call(node, kind, layer)) return true;
        filter->failed = 1;
        return false;
    }
    return !ask;
}
