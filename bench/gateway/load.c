/* The load: sends one request, byte for byte as given in a file, over and over, and reads what comes back.
 *
 *   load PORT FILE whole  CONNECTIONS SECONDS              one request after another on each connection
 *   load PORT FILE stream STREAMS TURNS EVENTS RAMP_MS LIMIT_MS
 *        streams that begin spread over the ramp, each TURNS times one after another; a stream is good when it
 *        brought at least EVENTS events, then [DONE], then the end of the body; what is not good at the limit failed
 *
 * Prints JSON; times in microseconds.
 */
#include "common.h"

#include "response.h"

typedef struct {
    int fd, turns_left, waiting;    /* waiting: for its time to begin */
    uint64_t starts, sent_at, last_at;
    Response response;
} Client;

typedef struct {
    uint32_t *us;
    size_t count, room;
} Samples;

static struct sockaddr_in address = {.sin_family = AF_INET};
static char request[1 << 20];
static size_t request_length;
static Client *clients;
static int client_count, epoll_fd, streaming, events_wanted, unfinished;
static uint64_t ends;
static uint64_t good, failed, events;
static Samples firsts, gaps;

static void note(Samples *samples, uint64_t ns) {
    if (samples->count == samples->room) {
        samples->room = samples->room * 2 + 4096;
        samples->us = realloc(samples->us, samples->room * sizeof *samples->us);
    }
    samples->us[samples->count++] = (uint32_t)(ns / 1000);
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t percentile(const Samples *sorted, double share) {
    return sorted->count ? sorted->us[(size_t)((double)(sorted->count - 1) * share)] : 0;
}

static void hang_up(Client *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

static void dial(Client *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0) fail("socket");
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl");
}

static void begin(Client *c) {
    if (c->fd < 0) dial(c);
    c->waiting = 0;
    c->turns_left--;
    response_begin(&c->response);
    c->sent_at = c->last_at = now_ns();
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET) fail("send");
}

static void ended(Client *c, int is_good, uint64_t now) {
    if (is_good) good++;
    else failed++;
    if (!streaming && is_good) note(&firsts, now - c->sent_at);
    if (!is_good || c->response.closes) hang_up(c);
    if (c->turns_left > 0 && now < ends) begin(c);
    else unfinished--;
}

static void count_events(Client *c, int came, uint64_t now) {
    if (!came) return;
    note(c->response.events == came ? &firsts : &gaps, now - c->last_at);
    for (int i = 1; i < came; i++) note(&gaps, 0); /* came together */
    c->last_at = now;
    events += (uint64_t)came;
}

static void readable(Client *c) {
    static char data[1 << 18];
    ssize_t got = recv(c->fd, data, sizeof data, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    uint64_t now = now_ns();
    Response *r = &c->response;
    if (got <= 0) {
        ended(c, r->until_close && response_good(r, streaming, events_wanted), now);
        return;
    }
    int before = r->events;
    response_feed(r, data, (size_t)got);
    if (streaming) count_events(c, r->events - before, now);
    if (r->complete) ended(c, response_good(r, streaming, events_wanted), now);
}

static int start_due(uint64_t now) {
    uint64_t next = ends;
    for (int i = 0; i < client_count; i++) {
        if (!clients[i].waiting) continue;
        if (clients[i].starts <= now) begin(&clients[i]);
        else if (clients[i].starts < next) next = clients[i].starts;
    }
    return next > now ? (int)((next - now) / 1000000u) + 1 : 0;
}

static void run(void) {
    struct epoll_event ready[512];
    while (unfinished > 0) {
        uint64_t now = now_ns();
        if (now >= ends && (streaming || now >= ends + 1000000000u)) break;
        int wait_ms = now < ends ? start_due(now) : 50;
        int n = epoll_wait(epoll_fd, ready, 512, wait_ms);
        for (int i = 0; i < n; i++) readable(ready[i].data.ptr);
    }
}

static void print_samples(const char *name, Samples *samples) {
    qsort(samples->us, samples->count, sizeof *samples->us, ascending);
    printf(",\"%s\":{\"count\":%zu,\"p50\":%u,\"p99\":%u,\"max\":%u}", name, samples->count, percentile(samples, 0.5),
           percentile(samples, 0.99), percentile(samples, 1));
}

int main(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "load: PORT FILE whole CONNECTIONS SECONDS | PORT FILE stream STREAMS TURNS EVENTS RAMP_MS LIMIT_MS\n");
        return 2;
    }
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    FILE *file = fopen(argv[2], "rb");
    if (!file) fail(argv[2]);
    request_length = fread(request, 1, sizeof request, file);
    streaming = !strcmp(argv[3], "stream");
    client_count = unfinished = atoi(argv[4]);
    int turns = streaming ? atoi(argv[5]) : 1 << 30;
    events_wanted = streaming ? atoi(argv[6]) : 0;
    uint64_t ramp = streaming ? (uint64_t)atoi(argv[7]) * 1000000u : 0;
    epoll_fd = epoll_create1(0);
    clients = calloc((size_t)client_count, sizeof *clients);
    uint64_t began = now_ns();
    ends = began + (streaming ? (uint64_t)atoi(argv[8]) * 1000000u : (uint64_t)(atof(argv[5]) * 1e9));
    for (int i = 0; i < client_count; i++)
        clients[i] = (Client){.fd = -1, .turns_left = turns, .waiting = 1,
                              .starts = began + ramp * (uint64_t)i / (uint64_t)client_count};
    run();
    if (streaming) failed = (uint64_t)client_count * (uint64_t)turns - good; /* what never began has failed too */
    printf("{\"good\":%llu,\"failed\":%llu,\"events\":%llu,\"seconds\":%.6f", (unsigned long long)good,
           (unsigned long long)failed, (unsigned long long)events, (double)(now_ns() - began) / 1e9);
    print_samples("first", &firsts);
    print_samples("gap", &gaps);
    printf("}\n");
    return 0;
}
