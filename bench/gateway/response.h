/* One HTTP/1.1 response as a client reads it: status, framing, and how many server-sent events its body brought.
 * The body is taken out of its chunks first, so that an event counts wherever a gateway cuts it. */
typedef enum { HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER } State;

typedef struct {
    State state;
    char head[8192];
    size_t head_length;
    unsigned long long left;    /* bytes of the body, or of the chunk */
    int status, complete, closes, until_close;
    int events, done;           /* "data: {" and "[DONE]" so far */
    char line[24];              /* a chunk's size, or a trailer's beginning */
    size_t line_length;
    size_t event_at, done_at;   /* how much of the mark the body's last bytes are */
} Response;

static void response_begin(Response *r) {
    r->state = HEAD;
    r->head_length = r->line_length = r->event_at = r->done_at = 0;
    r->status = r->complete = r->closes = r->until_close = r->events = r->done = 0;
}

static int response_good(const Response *r, int streaming, int events_wanted) {
    return r->status == 200 && (!streaming || (r->events >= events_wanted && r->done));
}

/* Both marks have no repetition inside that a plain restart would miss. */
static void response_scan(Response *r, const char *data, size_t length) {
    static const char event[] = "data: {", done[] = "[DONE]";
    for (size_t i = 0; i < length; i++) {
        if (r->event_at == 0 && r->done_at == 0) { /* both begin with one of two bytes: skip to the next */
            while (i < length && data[i] != 'd' && data[i] != '[') i++;
            if (i == length) return;
        }
        r->event_at = data[i] == event[r->event_at] ? r->event_at + 1 : data[i] == event[0];
        if (r->event_at == sizeof event - 1) r->events++, r->event_at = 0;
        r->done_at = data[i] == done[r->done_at] ? r->done_at + 1 : data[i] == done[0];
        if (r->done_at == sizeof done - 1) r->done = 1, r->done_at = 0;
    }
}

static void response_judge_head(Response *r) {
    r->head[r->head_length] = 0;
    r->status = atoi(r->head + 9);
    const char *length = strcasestr(r->head, "\ncontent-length:");
    r->closes = strcasestr(r->head, "\nconnection: close") != NULL;
    if (strcasestr(r->head, "\ntransfer-encoding: chunked"))
        r->state = CHUNK_SIZE;
    else if (length) {
        r->left = strtoull(length + 16, NULL, 10);
        r->state = BODY;
        r->complete = r->left == 0;
    } else {
        r->until_close = 1;
        r->left = ~0ull;
        r->state = BODY;
    }
}

static size_t response_line(Response *r, const char *data, size_t length) {
    const char *end = memchr(data, '\n', length);
    size_t taken = end ? (size_t)(end - data) + 1 : length;
    for (size_t i = 0; i < taken && r->line_length < sizeof r->line - 1; i++) r->line[r->line_length++] = data[i];
    if (!end) return taken;
    r->line[r->line_length] = 0;
    if (r->state == CHUNK_SIZE) {
        r->left = strtoull(r->line, NULL, 16);
        r->state = r->left ? CHUNK_DATA : TRAILER;
    } else if (r->state == CHUNK_END)
        r->state = CHUNK_SIZE;
    else if (r->line[0] == '\r' || r->line[0] == '\n')
        r->complete = 1;
    r->line_length = 0;
    return taken;
}

static size_t response_data(Response *r, const char *data, size_t length) {
    size_t taken = length < r->left ? length : (size_t)r->left;
    response_scan(r, data, taken);
    r->left -= taken;
    if (r->left == 0) {
        if (r->state == CHUNK_DATA) r->state = CHUNK_END;
        else r->complete = 1;
    }
    return taken;
}

static size_t response_head(Response *r, const char *data, size_t length) {
    size_t i = 0;
    while (i < length && r->head_length < sizeof r->head - 1) {
        r->head[r->head_length++] = data[i++];
        if (r->head_length >= 4 && !memcmp(r->head + r->head_length - 4, "\r\n\r\n", 4)) {
            response_judge_head(r);
            return i;
        }
    }
    if (i == 0) r->complete = 1; /* a head that does not end: status stays 0 */
    return i;
}

static void response_feed(Response *r, const char *data, size_t length) {
    while (length && !r->complete) {
        size_t taken = r->state == HEAD                               ? response_head(r, data, length)
                       : r->state == BODY || r->state == CHUNK_DATA ? response_data(r, data, length)
                                                                      : response_line(r, data, length);
        data += taken;
        length -= taken;
    }
}
