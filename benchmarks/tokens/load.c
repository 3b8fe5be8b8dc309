/* Load on a token endpoint that costs next to nothing itself: one thread, epoll, connections that stay open.
 *
 *   load PORT SECONDS CONNECTIONS rotate|repeat|once
 *
 * On standard input: the path, the value of Authorization (an empty line for none), the beginning of the form, and then
 * the form's endings, one on each line. Each connection takes the next ending, sends beginning and ending as one request
 * and waits for the answer. Then the ending is replaced by the refresh token of the answer (rotate), put back (repeat),
 * or gone (once). Prints one JSON object: seconds, failed, complaint, times (microseconds), and the endings left over.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 16, MOST = 1 << 22, LINE = 4096 };

struct connection {
    int fd;
    size_t used;
    double sent;
    char *ending;
    char in[ROOM];
};

static char *path, *authorization, *beginning, mode;
static char *endings[MOST];              /* a ring */
static size_t first = 0, waiting = 0;
static unsigned *times;
static size_t answers = 0, failed = 0;
static char complaint[512] = "";
static double until;
static int busy = 0;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void stop(const char *why) {
    perror(why);
    exit(1);
}

static void put(char *ending) { endings[(first + waiting++) % MOST] = ending; }

static char *line(void) {
    char *text = NULL;
    size_t room = 0;
    ssize_t size = getline(&text, &room, stdin);
    if (size < 0) { free(text); return NULL; }
    if (size > 0 && text[size - 1] == '\n') text[size - 1] = 0;
    return text;
}

static void ask(struct connection *c) {
    if (!waiting || now() >= until) return;
    c->ending = endings[first];
    first = (first + 1) % MOST;
    waiting--;
    char out[3 * LINE];
    int size = snprintf(out, sizeof out,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n%s%s%s"
        "Content-Length: %zu\r\n\r\n%s%s",
        path, *authorization ? "Authorization: " : "", authorization, *authorization ? "\r\n" : "",
        strlen(beginning) + strlen(c->ending), beginning, c->ending);
    if (size >= (int)sizeof out) { fprintf(stderr, "a request is too long\n"); exit(1); }
    c->used = 0;
    c->sent = now();
    if (send(c->fd, out, size, MSG_NOSIGNAL) != size) stop("send");
    busy++;
}

/* Return the refresh token of an answer, in memory of its own. */
static char *rotated(const char *body) {
    const char *start = strstr(body, "\"refresh_token\":");
    if (!start || !(start = strchr(start + 16, '"'))) return NULL;
    const char *end = strchr(++start, '"');
    return end ? strndup(start, end - start) : NULL;
}

static void finish(struct connection *c, const char *body) {
    times[answers++ % MOST] = (unsigned)((now() - c->sent) * 1e6);
    busy--;
    char *next = mode == 'r' ? rotated(body) : NULL;
    if (strncmp(c->in, "HTTP/1.1 200", 12) || (mode == 'r' && !next)) {
        if (!failed++) snprintf(complaint, sizeof complaint, "%.12s %.400s", c->in, body);
    } else if (mode == 'r') {
        free(c->ending);
        put(next);
    }
    if (mode == 'p') put(c->ending);
    ask(c);
}

static void hear(struct connection *c) {
    ssize_t got = recv(c->fd, c->in + c->used, ROOM - 1 - c->used, MSG_DONTWAIT);
    if (got <= 0) stop("the server ended a connection");
    c->used += got;
    c->in[c->used] = 0;
    char *end = strstr(c->in, "\r\n\r\n");
    char *length = strcasestr(c->in, "\r\ncontent-length:");
    if (!end) return;
    if (!length || length > end) { fprintf(stderr, "an answer has no Content-Length\n"); exit(1); }
    if ((size_t)(c->in + c->used - end - 4) >= strtoul(length + 17, NULL, 10)) finish(c, end + 4);
}

static struct connection *connected(int port, int loop) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    struct connection *c = calloc(1, sizeof *c);
    int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&there, sizeof there)) stop("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    epoll_ctl(loop, EPOLL_CTL_ADD, c->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
    return c;
}

static void quoted(const char *text) {
    putchar('"');
    for (; *text; text++)
        if (*text == '"' || *text == '\\') printf("\\%c", *text);
        else if ((unsigned char)*text >= ' ') putchar(*text);
    putchar('"');
}

static void report(double seconds) {
    printf("{\"seconds\":%f,\"failed\":%zu,\"complaint\":", seconds, failed);
    quoted(complaint);
    printf(",\"times\":[");
    for (size_t i = 0; i < answers; i++) printf("%s%u", i ? "," : "", times[i]);
    printf("],\"endings\":[");
    for (size_t i = 0; i < waiting; i++) {
        if (i) putchar(',');
        quoted(endings[(first + i) % MOST]);
    }
    printf("]}\n");
}

int main(int argc, char **argv) {
    if (argc != 5) { fprintf(stderr, "load PORT SECONDS CONNECTIONS rotate|repeat|once\n"); return 2; }
    int port = atoi(argv[1]), count = atoi(argv[3]), loop = epoll_create1(0);
    mode = argv[4][0] == 'o' ? 'o' : strcmp(argv[4], "rotate") ? 'p' : 'r';
    path = line(), authorization = line(), beginning = line();
    if (!beginning) { fprintf(stderr, "path, authorization and form are missing\n"); return 2; }
    for (char *one; (one = line());) put(one);
    times = malloc(MOST * sizeof *times);
    struct connection **all = malloc(count * sizeof *all);
    for (int i = 0; i < count; i++) all[i] = connected(port, loop);
    double began = now();
    until = began + atof(argv[2]);
    for (int i = 0; i < count; i++) ask(all[i]);
    while (busy) {
        struct epoll_event events[256];
        int ready = epoll_wait(loop, events, 256, 60000);
        if (ready <= 0) { fprintf(stderr, "no answer for a minute\n"); return 1; }
        for (int i = 0; i < ready; i++) hear(events[i].data.ptr);
    }
    report(now() - began);
}
