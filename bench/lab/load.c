/* Asks, and measures what comes back: one thread, epoll, HTTP/1.1 with keep-alive.
 *
 *     load whole  PORT REQUEST CONNECTIONS SECONDS RATE     RATE a second, each when it is due; 0: as fast as answers come
 *     load stream PORT REQUEST STREAMS SECONDS MICROS       streams beside each other, begun anew until SECONDS are over
 *
 * REQUEST is a file with the request as it is sent. A whole answer is right with status 200 and all of its text, a
 * stream when each frame's "#NUMBER@NANOSECONDS" is there, in order, to the last one. MICROS: between two frames.
 * Prints one JSON object. Times in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ = 1 << 20, HEAD = 16384, SAMPLES = 1 << 23, MARK = 28 };

static const char *const ENDS[] = {"[DONE]", "\"message_stop\"", "\"response.completed\"", "\"finishReason\""};

struct samples { float *value; size_t size; };

struct connection {
    int fd;
    int is_busy, is_open, is_head, is_chunked, is_over;
    size_t sent;
    char head[HEAD];
    size_t head_size;
    int status;
    int64_t left;       /* of the body, or of a chunk and its line end; -1: a chunk's length is being read */
    int64_t chunk;      /* its length so far */
    int is_last;
    char *body;         /* whole: all of it; stream: what may hold the beginning of a mark */
    size_t body_size, body_room;
    int64_t due, first_at, last_at;
    long frames;        /* seen of this stream */
    int is_wrong, has_end;
    struct connection *next;
};

static int poller, port, is_stream;
static char *request, *scratch;
static size_t request_size;
static int64_t interval;
static struct connection *idle, *all;
static long connections, asked, answered, wrong, broken, frames, late, ended;
static struct samples latencies, first_bytes, transits, gaps;
static double kept_ideal, kept_actual;
static char complaint[256];

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void note(struct samples *s, int64_t nanoseconds) {
    if (!s->value) s->value = malloc(SAMPLES * sizeof *s->value);
    if (s->size < SAMPLES) s->value[s->size++] = nanoseconds / 1000.0;
}

static int rising(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void print(const char *name, struct samples *s) {
    qsort(s->value, s->size, sizeof *s->value, rising);
    size_t n = s->size;
    printf(",\"%s\":{\"count\":%zu,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name, n,
           n ? s->value[n / 2] : 0, n ? s->value[n * 9 / 10] : 0, n ? s->value[n * 99 / 100] : 0, n ? s->value[n - 1] : 0);
}

static void complain(const char *what, const char *data, size_t size) {
    if (complaint[0]) return;
    size_t n = snprintf(complaint, sizeof complaint, "%s: ", what);
    for (size_t i = 0; i < size && n < sizeof complaint - 1; i++)
        complaint[n++] = data[i] < ' ' || data[i] > '~' || data[i] == '"' || data[i] == '\\' ? ' ' : data[i];
    complaint[n] = 0;
}

static int opened(struct connection *c) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (void *)&where, sizeof where)) { close(c->fd); complain("connect", strerror(errno), 40); return 0; }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e)) { perror("epoll"); exit(1); }
    return c->is_open = 1;
}

static void push(struct connection *c) {
    while (c->is_busy && c->sent < request_size) {
        ssize_t n = send(c->fd, request + c->sent, request_size - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0) return;
        c->sent += n;
    }
}

static int ask(struct connection *c, int64_t due) {
    if (!c->is_open && !opened(c)) { broken++; return 0; }
    c->is_busy = c->is_head = 1;
    c->sent = c->head_size = c->body_size = 0;
    c->frames = c->is_wrong = c->is_over = c->has_end = 0;
    c->due = due;
    c->first_at = c->last_at = 0;
    asked++;
    push(c);
    return 1;
}

static void done(struct connection *c, int is_closed) {
    if (c->is_busy) {
        int64_t at = now();
        int is_right = c->is_over && c->status == 200 && !c->is_wrong;
        if (is_stream) {
            is_right = is_right && c->has_end;
            if (is_right && c->frames > 1 && interval) {
                kept_ideal += (c->frames - 1) * interval;
                kept_actual += c->last_at - c->first_at;
            }
        } else {
            is_right = is_right && memmem(c->body, c->body_size, "begin-of-answer", 15) && memmem(c->body, c->body_size, "end-of-answer", 13);
        }
        answered++;
        if (is_right) note(&latencies, at - c->due);
        else if (c->is_over) wrong++;
        else broken++;
        if (!is_right) {
            char why[64];
            sprintf(why, "status %d, frame %ld, end %d", c->status, c->frames, c->has_end);
            complain(why, c->body, c->body_size);
        }
        c->is_busy = 0;
        c->next = idle;
        idle = c;
    }
    if (is_closed) {
        close(c->fd);
        c->is_open = 0;
    }
}

/* of a stream: marks, wherever they are */
static void look(struct connection *c, const char *data, size_t size) {
    if (c->body_size + size > c->body_room) c->body = realloc(c->body, c->body_room = 2 * (c->body_size + size) + 4096);
    memcpy(c->body + c->body_size, data, size);
    c->body_size += size;
    if (!is_stream) return;
    const char *seen = c->body, *end = c->body + c->body_size, *at;
    int64_t when = now();
    while ((at = memchr(seen, '#', end - seen)) && end - at >= MARK) {
        seen = at + 1;
        if (at[8] != '@') continue;
        int64_t sent = strtoll(at + 9, NULL, 10);
        if (strtol(at + 1, NULL, 10) != c->frames) c->is_wrong = 1;
        if (c->frames) note(&gaps, when - c->last_at);
        else note(&first_bytes, (c->first_at = when) - c->due);
        note(&transits, when - sent);
        if (interval && when - sent > 10 * interval) late++;
        c->last_at = when;
        c->frames++;
        frames++;
        seen = at + MARK;
    }
    for (int i = 0; i < 4 && !c->has_end; i++) c->has_end = memmem(c->body, c->body_size, ENDS[i], strlen(ENDS[i])) != NULL;
    size_t left = end - seen < MARK ? end - seen : MARK;
    memmove(c->body, end - left, left);
    c->body_size = left;
}

/* 1: the answer is complete */
static int feed(struct connection *c, const char *data, size_t size) {
    while (size || (!c->is_head && !c->is_chunked && !c->left)) {
        if (c->is_head) {
            size_t fits = HEAD - 1 - c->head_size < size ? HEAD - 1 - c->head_size : size;
            memcpy(c->head + c->head_size, data, fits);
            c->head[c->head_size + fits] = 0;
            char *end = strstr(c->head, "\r\n\r\n");
            if (!end) { c->head_size += fits; return 0; }
            size_t used = end + 4 - c->head - c->head_size;
            end[2] = 0;
            data += used;
            size -= used;
            c->is_head = 0;
            c->status = atoi(c->head + 9);
            const char *length = strcasestr(c->head, "\r\ncontent-length:");
            c->is_chunked = strcasestr(c->head, "\r\ntransfer-encoding: chunked") != NULL;
            c->left = c->is_chunked ? -1 : length ? atoll(length + 17) : 0;
            c->chunk = c->is_last = 0;
        } else if (!c->is_chunked) {
            size_t n = (int64_t)size < c->left ? size : (size_t)c->left;
            look(c, data, n);
            data += n;
            size -= n;
            if (!(c->left -= n)) return 1;
        } else if (c->left < 0) {
            char digit = *data++;
            size--;
            if (digit == '\n') {
                c->is_last = !c->chunk;
                c->left = c->chunk + 2;
            } else if (digit != '\r') {
                c->chunk = c->chunk * 16 + (digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10);
            }
        } else {
            size_t n = (int64_t)size < c->left ? size : (size_t)c->left;
            int64_t text = c->left - 2 < (int64_t)n ? c->left - 2 : (int64_t)n;
            if (text > 0) look(c, data, text);
            data += n;
            size -= n;
            if (!(c->left -= n)) {
                if (c->is_last) return 1;
                c->left = -1;
                c->chunk = 0;
            }
        }
    }
    return 0;
}

static void take(struct connection *c) {
    for (;;) {
        ssize_t n = recv(c->fd, scratch, READ, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) { done(c, 1); return; }
        if (c->is_busy && feed(c, scratch, n)) { c->is_over = 1; done(c, 0); }
        if (n < READ) return;
    }
}

static void prepare(char **words) {
    is_stream = !strcmp(words[1], "stream");
    port = atoi(words[2]);
    FILE *file = fopen(words[3], "rb");
    if (!file) { perror(words[3]); exit(1); }
    fseek(file, 0, SEEK_END);
    request = malloc(request_size = ftell(file));
    rewind(file);
    if (fread(request, 1, request_size, file) != request_size) exit(1);
    fclose(file);
    connections = atol(words[4]);
    scratch = malloc(READ);
    poller = epoll_create1(0);
    all = calloc(connections, sizeof *all);
    for (long i = connections; i--;) { all[i].next = idle; idle = &all[i]; }
}

int main(int count, char **words) {
    if (count != 7) { fprintf(stderr, "usage: load whole|stream PORT REQUEST CONNECTIONS SECONDS RATE|MICROS\n"); return 2; }
    signal(SIGPIPE, SIG_IGN);
    prepare(words);
    double seconds = atof(words[5]), rate = is_stream ? 0 : atof(words[6]);
    if (is_stream) interval = atol(words[6]) * 1000LL;
    int64_t began = now(), until = began + seconds * 1e9, limit = until + 60e9;
    /* streams do not all begin in the same instant */
    double spread = is_stream && interval ? interval * 20.0 / connections : 0;
    struct epoll_event ready[512];
    for (;;) {
        int64_t at = now();
        while (idle && at < until) {
            int64_t due = at;
            if (rate) due = began + asked / rate * 1e9;
            else if (asked < connections) due = began + asked * spread;
            if (due > at) break;
            struct connection *c = idle;
            idle = c->next;
            if (!ask(c, due)) { c->next = idle; idle = c; if (broken > 1000) until = at; break; }
        }
        if ((at >= until && asked <= answered) || at >= limit) break;
        int64_t wait = idle && at < until ? (rate ? began + (int64_t)(asked / rate * 1e9) : began + (int64_t)(asked * spread)) - at : 100000000;
        if (wait < 0) wait = 0;
        struct timespec t = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};
        int n = epoll_pwait2(poller, ready, 512, &t, NULL);
        for (int i = 0; i < n; i++) {
            struct connection *c = ready[i].data.ptr;
            if (ready[i].events & EPOLLOUT) push(c);
            if (c->is_open && ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) take(c);
        }
    }
    ended = now();
    printf("{\"seconds\":%.3f,\"asked\":%ld,\"right\":%zu,\"wrong\":%ld,\"broken\":%ld,\"frames\":%ld,\"late\":%ld,\"kept\":%.4f,\"complaint\":\"%s\"",
           (ended - began) / 1e9, asked, latencies.size, wrong, broken + (asked - answered), frames, late,
           kept_actual ? kept_ideal / kept_actual : 0, complaint);
    print("latency", &latencies);
    if (is_stream) { print("first_byte", &first_bytes); print("transit", &transits); print("gap", &gaps); }
    printf("}\n");
    return 0;
}
