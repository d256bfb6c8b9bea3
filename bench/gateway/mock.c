/* A vLLM that computes nothing: the upstream of the benchmark. One thread, one epoll, answers made beforehand.
 *
 *   mock            listens on a free port of 127.0.0.1 and prints it
 *
 *   POST *          a chat completion of `max_tokens` tokens: at once, or as a stream when `"stream": true`,
 *                   one write a token; `include_usage` and `continuous_usage_stats` are heeded as vLLM does
 *   GET /v1/models, /health
 *   GET /mock/pace?itl_us=N&step=B   time between tokens; step 1: the tokens of all streams go out on one tick
 *   GET /mock/counts                 requests and events sent so far
 */
#include "common.h"

#include "deadlines.h"
#include <sys/resource.h>
#include <sys/timerfd.h>

#define MAX_TOKENS 4096
#define JSON "application/json"

typedef struct {
    int open;
    char *in, *out;         /* what came and is not yet handled; what the socket did not take */
    size_t in_len, in_cap, out_len;
    int streaming, tokens, sent, usage, continuous;
} Connection;

static Connection connections[MAX_FDS];
static int epoll_fd, timer_fd;
static uint64_t itl_ns, armed, requests, events;
static int step;
static const char *STREAM_HEAD =
    "HTTP/1.1 200 OK\r\nserver: mock\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    "transfer-encoding: chunked\r\n\r\n";

/* Connections. */

static void drop(int fd) {
    Connection *c = &connections[fd];
    deadline_remove(fd);
    free(c->in);
    free(c->out);
    memset(c, 0, sizeof *c);
    close(fd);
}

static void want(int fd, uint32_t what, int how) {
    struct epoll_event event = {.events = what, .data.fd = fd};
    if (epoll_ctl(epoll_fd, how, fd, &event) < 0) fail("epoll_ctl");
}

static void send_all(int fd, const char *data, size_t length) {
    Connection *c = &connections[fd];
    ssize_t wrote = 0;
    if (c->out_len == 0) {
        wrote = send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (wrote == (ssize_t)length) return;
        if (wrote < 0 && errno != EAGAIN) return; /* the read side will see that it is gone */
        if (wrote < 0) wrote = 0;
        want(fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    }
    c->out = realloc(c->out, c->out_len + length - (size_t)wrote);
    memcpy(c->out + c->out_len, data + wrote, length - (size_t)wrote);
    c->out_len += length - (size_t)wrote;
}

static void flush_out(int fd) {
    Connection *c = &connections[fd];
    ssize_t wrote = send(fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (wrote <= 0) return;
    c->out_len -= (size_t)wrote;
    memmove(c->out, c->out + wrote, c->out_len);
    if (c->out_len == 0) want(fd, EPOLLIN, EPOLL_CTL_MOD);
}

/* Answers. */

static void answer(int fd, int status, const char *body, size_t length) {
    static char text[64 * MAX_TOKENS];
    int head = snprintf(text, sizeof text,
                        "HTTP/1.1 %d %s\r\nserver: mock\r\ncontent-type: " JSON "\r\ncontent-length: %zu\r\n\r\n",
                        status, status == 200 ? "OK" : "Refused", length);
    memcpy(text + head, body, length);
    send_all(fd, text, (size_t)head + length);
}

static void answer_whole(int fd, int tokens) {
    static char body[32 * MAX_TOKENS];
    static int made_for = -1, length;
    if (tokens != made_for) {
        length = snprintf(body, sizeof body,
                          "{\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"chat.completion\","
                          "\"created\":1790000000,\"model\":\"tiny\",\"choices\":[{\"index\":0,\"message\":"
                          "{\"role\":\"assistant\",\"content\":\"");
        for (int i = 0; i < tokens; i++) length += snprintf(body + length, sizeof body - (size_t)length, " word");
        length += snprintf(body + length, sizeof body - (size_t)length,
                           "\",\"refusal\":null,\"tool_calls\":[]},\"logprobs\":null,\"finish_reason\":\"length\","
                           "\"stop_reason\":null}],\"usage\":{\"prompt_tokens\":200,\"total_tokens\":%d,"
                           "\"completion_tokens\":%d,\"prompt_tokens_details\":null}}", 200 + tokens, tokens);
        made_for = tokens;
    }
    answer(fd, 200, body, (size_t)length);
}

static int event_text(char *to, size_t room, const Connection *c, int last) {
    char usage[96] = "";
    if (c->continuous)
        snprintf(usage, sizeof usage, ",\"usage\":{\"prompt_tokens\":200,\"total_tokens\":%d,\"completion_tokens\":%d}",
                 201 + c->sent, c->sent + 1);
    return snprintf(to, room,
                    "data: {\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"chat.completion.chunk\","
                    "\"created\":1790000000,\"model\":\"tiny\",\"choices\":[{\"index\":0,\"delta\":{%s\"content\":\" word\"},"
                    "\"logprobs\":null,\"finish_reason\":%s}]%s}\n\n",
                    c->sent == 0 ? "\"role\":\"assistant\"," : "", last ? "\"length\",\"stop_reason\":null" : "null", usage);
}

static void send_token(int fd) {
    Connection *c = &connections[fd];
    char event[1024], text[2048];
    int last = c->sent + 1 == c->tokens;
    int length = event_text(event, sizeof event, c, last);
    if (last && c->usage)
        length += snprintf(event + length, sizeof event - (size_t)length,
                           "data: {\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"chat.completion.chunk\","
                           "\"created\":1790000000,\"model\":\"tiny\",\"choices\":[],\"usage\":{\"prompt_tokens\":200,"
                           "\"total_tokens\":%d,\"completion_tokens\":%d}}\n\n", 200 + c->tokens, c->tokens);
    if (last) length += snprintf(event + length, sizeof event - (size_t)length, "data: [DONE]\n\n");
    int n = snprintf(text, sizeof text, "%s%x\r\n%s\r\n%s", c->sent == 0 ? STREAM_HEAD : "", (unsigned)length, event,
                     last ? "0\r\n\r\n" : "");
    c->sent++;
    events++;
    c->streaming = !last;
    send_all(fd, text, (size_t)n);
}

static uint64_t on_tick(uint64_t at) { return step && itl_ns ? (at / itl_ns + 1) * itl_ns : at; }

static void begin_stream(int fd) {
    Connection *c = &connections[fd];
    c->streaming = 1;
    c->sent = 0;
    deadline_add(fd, on_tick(now_ns()));
}

static void send_due(void) {
    uint64_t expirations;
    if (read(timer_fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN) fail("timer");
    uint64_t now = now_ns();
    for (int fd; (fd = deadline_passed(now)) >= 0;) {
        uint64_t was_due = deadline_remove(fd);
        send_token(fd);
        if (connections[fd].streaming) deadline_add(fd, was_due + itl_ns); /* lateness does not add up */
    }
}

static void arm(void) {
    uint64_t due = deadline_next();
    if (due == armed) return;
    armed = due;
    struct itimerspec when = {.it_value = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)}};
    if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0) fail("timerfd_settime");
}

/* Requests. */

static long field(const char *text, const char *name, long fallback) {
    const char *at = strstr(text, name);
    if (!at) return fallback;
    at += strlen(name);
    at += strspn(at, "\": =");
    return *at == 't' ? 1 : *at >= '0' && *at <= '9' ? strtol(at, NULL, 10) : 0;
}

static void complete(int fd, const char *body) {
    Connection *c = &connections[fd];
    long tokens = field(body, "\"max_tokens\"", field(body, "\"max_completion_tokens\"", 16));
    c->tokens = tokens < 1 ? 1 : tokens > MAX_TOKENS ? MAX_TOKENS : (int)tokens;
    c->usage = (int)field(body, "\"include_usage\"", 0);
    c->continuous = (int)field(body, "\"continuous_usage_stats\"", 0);
    requests++;
    if (field(body, "\"stream\"", 0))
        begin_stream(fd);
    else
        answer_whole(fd, c->tokens);
}

static void control(int fd, const char *head) {
    char text[256];
    int n = snprintf(text, sizeof text, "{}");
    if (!strncmp(head, "GET /v1/models", 14))
        n = snprintf(text, sizeof text, "{\"object\":\"list\",\"data\":[{\"id\":\"tiny\",\"object\":\"model\","
                                        "\"created\":1790000000,\"owned_by\":\"vllm\",\"max_model_len\":4096}]}");
    else if (!strncmp(head, "GET /mock/pace?", 15)) {
        itl_ns = (uint64_t)field(head, "itl_us=", 0) * 1000;
        step = (int)field(head, "step=", 0);
    } else if (!strncmp(head, "GET /mock/counts", 16))
        n = snprintf(text, sizeof text, "{\"requests\":%llu,\"events\":%llu}", (unsigned long long)requests,
                     (unsigned long long)events);
    answer(fd, 200, text, (size_t)n);
}

static const char *header(const char *head, const char *name) {
    const char *found = strcasestr(head, name);
    return found ? found + strlen(name) : NULL;
}

/* 1: one request was handled; 0: more bytes are needed, or a stream is on its way. */
static int handle(int fd) {
    Connection *c = &connections[fd];
    if (c->streaming || !c->in_len) return 0;
    c->in[c->in_len] = 0;
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end) return 0;
    *end = 0;
    const char *length = header(c->in, "\r\ncontent-length:");
    int chunked = header(c->in, "\r\ntransfer-encoding:") != NULL;
    size_t head = (size_t)(end - c->in) + 4, body = length ? strtoul(length, NULL, 10) : 0;
    if (c->in_len < head + body) {
        *end = '\r';
        return 0;
    }
    char after = c->in[head + body];
    c->in[head + body] = 0;
    if (chunked)
        answer(fd, 411, "{}", 2);
    else if (c->in[0] == 'P')
        complete(fd, c->in + head);
    else
        control(fd, c->in);
    c->in[head + body] = after;
    c->in_len -= head + body;
    memmove(c->in, c->in + head + body, c->in_len);
    return 1;
}

static void readable(int fd) {
    Connection *c = &connections[fd];
    if (c->in_cap - c->in_len < 32768) {
        c->in_cap = c->in_cap * 2 + 65536;
        c->in = realloc(c->in, c->in_cap);
    }
    ssize_t got = recv(fd, c->in + c->in_len, c->in_cap - c->in_len - 1, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        drop(fd);
        return;
    }
    if (got > 0) c->in_len += (size_t)got;
    while (handle(fd)) continue;
}

static void take(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (fd >= MAX_FDS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connections[fd] = (Connection){.open = 1};
        want(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct epoll_event ready[512];
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 4096) < 0) fail("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll_fd = epoll_create1(0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    want(listener, EPOLLIN, EPOLL_CTL_ADD);
    want(timer_fd, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        int n = epoll_wait(epoll_fd, ready, 512, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) take(listener);
            else if (fd != timer_fd) {
                if ((ready[i].events & EPOLLOUT) && connections[fd].out_len) flush_out(fd);
                if (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(fd);
            }
        }
        send_due();
        arm();
    }
}
