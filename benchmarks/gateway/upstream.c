/* A Messages API that costs next to nothing: fixed answers, one thread, epoll.
 *
 *   upstream PORT
 *
 * A body that contains "stream":true is answered by TICKS text deltas, one every 20 ms (with "top_k":1 one a second),
 * between a proper beginning and a proper end; any other by one small JSON message; GET /stats by what was sent so far. It understands just enough
 * HTTP/1.1 for the gateways that are compared: keep-alive, Content-Length, one request at a time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { TICKS = 200, SLOTS = 20, SLOW = 50, MOST = 65536, ROOM = 1 << 18 };

struct connection {
    int left;     /* deltas still to send; 0 when no stream is under way */
    int every;    /* of how many turns it speaks in one */
    int slot;     /* which millisecond of the 20 it sends in, so that streams do not all speak at once */
    size_t used;  /* bytes of the request so far */
    char *in;     /* ROOM bytes */
};

static struct connection *open_connections[MOST];
static int highest = 0, loop;
static unsigned long long answers = 0, chunks = 0, broken = 0;

static const char MESSAGE[] =
    "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":"
    "[{\"type\":\"text\",\"text\":\"ok\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
    "\"usage\":{\"input_tokens\":12,\"output_tokens\":5}}";
/* What the vendor documents for its answers: an id, the organization, and the rate limits. */
#define DOCUMENTED \
    "request-id: req_bench\r\nanthropic-organization-id: 00000000-0000-0000-0000-000000000000\r\n" \
    "anthropic-ratelimit-requests-limit: 4000\r\nanthropic-ratelimit-requests-remaining: 3999\r\n" \
    "anthropic-ratelimit-requests-reset: 2026-11-21T12:00:00Z\r\n" \
    "anthropic-ratelimit-tokens-limit: 400000\r\nanthropic-ratelimit-tokens-remaining: 399000\r\n" \
    "anthropic-ratelimit-tokens-reset: 2026-11-21T12:00:00Z\r\n"
static const char HEAD[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n" DOCUMENTED
                           "transfer-encoding: chunked\r\n\r\n";
static const char START[] =
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench\",\"type\":\"message\","
    "\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
    "\"usage\":{\"input_tokens\":12,\"output_tokens\":1}}}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
static const char DELTA[] =
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
    "\"delta\":{\"type\":\"text_delta\",\"text\":\" word\"}}\n\n";
static const char END[] =
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
    "\"stop_sequence\":null},\"usage\":{\"output_tokens\":200}}\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

static void hang_up(int fd) {
    struct connection *c = open_connections[fd];
    open_connections[fd] = NULL;
    free(c->in);
    free(c);
    close(fd);
}

/* Send all of it or give the connection up: what is sent fits the socket's buffer unless the reader has stalled. */
static int say(int fd, const char *bytes, size_t size) {
    if (send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size) return 1;
    broken++;
    hang_up(fd);
    return 0;
}

static int say_chunk(int fd, const char *event, const char *before, const char *after) {
    char out[2048];
    int size = snprintf(out, sizeof out, "%s%zx\r\n%s\r\n%s", before, strlen(event), event, after);
    return say(fd, out, size);
}

static void say_json(int fd, const char *body) {
    char out[2048];
    int size = snprintf(out, sizeof out,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" DOCUMENTED "content-length: %zu\r\n\r\n%s",
        strlen(body), body);
    say(fd, out, size);
}

static void answer(int fd, struct connection *c, char *body, size_t size) {
    if (memcmp(c->in, "GET /stats", 10) == 0) {
        char stats[128];
        snprintf(stats, sizeof stats, "{\"answers\":%llu,\"chunks\":%llu,\"broken\":%llu}", answers, chunks, broken);
        say_json(fd, stats);
    } else if (memmem(body, size, "\"stream\":true", 13) || memmem(body, size, "\"stream\": true", 14)) {
        answers++;
        c->left = TICKS;
        c->every = memmem(body, size, "\"top_k\":1", 9) ? SLOW : 1;
        say_chunk(fd, START, HEAD, "");
    } else {
        answers++;
        say_json(fd, MESSAGE);
    }
}

static void hear(int fd) {
    struct connection *c = open_connections[fd];
    ssize_t got = recv(fd, c->in + c->used, ROOM - 1 - c->used, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { hang_up(fd); return; }
    c->used += got;
    c->in[c->used] = 0;
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end) return;
    char *length = strcasestr(c->in, "\r\ncontent-length:");
    size_t size = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    if ((size_t)(c->in + c->used - end - 4) < size) return;
    c->used = 0;
    answer(fd, c, end + 4, size);
}

static void greet(int listener) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MOST) { close(fd); continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct connection *c = calloc(1, sizeof *c);
        c->in = malloc(ROOM);
        c->slot = fd % SLOTS;
        open_connections[fd] = c;
        if (fd > highest) highest = fd;
        epoll_ctl(loop, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
    }
}

static void tick(int slot) {
    static unsigned turn[SLOTS];
    turn[slot]++;
    for (int fd = slot; fd <= highest; fd += SLOTS) {
        struct connection *c = open_connections[fd];
        if (!c || !c->left || (turn[slot] + fd / SLOTS) % c->every) continue;
        chunks++;
        if (--c->left) say_chunk(fd, DELTA, "", "");
        else say_chunk(fd, END, "", "0\r\n\r\n");
    }
}

int main(int argc, char **argv) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1, slot = 0;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    here.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096)) { perror("upstream"); return 1; }
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    timerfd_settime(timer, 0, &(struct itimerspec){{0, 1000000}, {0, 1000000}}, NULL);
    loop = epoll_create1(0);
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    epoll_ctl(loop, EPOLL_CTL_ADD, timer, &(struct epoll_event){.events = EPOLLIN, .data.fd = timer});
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(loop, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) greet(listener);
            else if (fd != timer) { if (open_connections[fd]) hear(fd); }
            else {
                uint64_t passed;
                if (read(timer, &passed, sizeof passed) != sizeof passed) continue;
                for (; passed > 0; passed--) tick(slot = (slot + 1) % SLOTS);
            }
        }
    }
}
