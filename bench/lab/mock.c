/* A provider that is never the bottleneck: one thread, epoll, HTTP/1.1 with keep-alive. `mock PORT`
 *
 * The model's name says what it answers:
 *     whole-BYTES             a chat completion whose text has so many bytes
 *     stream-FRAMES-MICROS    so many frames of text, one each so many microseconds; 0: as fast as they are taken
 * Each frame holds "#NUMBER@NANOSECONDS": its place, and when it was sent (CLOCK_MONOTONIC), for who measures.
 * A request whose text does not end with "end-of-request" was cut on its way and gets a 400.
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

enum { EDGE = 4096, PIECE = 1 << 16, READ = 1 << 20 };

struct scenario {
    char name[64];
    char *answer;
    size_t size;
    long frames;
    int64_t interval;
    struct scenario *next;
};

struct connection {
    int fd;
    int is_head;        /* the head of a request is being read */
    int64_t left;       /* of the request's body */
    char early[EDGE];   /* the first bytes of head and body: the head must fit, and the beginning of the body may */
    size_t early_size, head_size;
    char late[EDGE];    /* the last bytes */
    size_t late_size;
    char *out;          /* what the socket did not take yet */
    size_t out_size, out_at, out_room;
    int is_waiting;     /* for the socket to take more */
    struct scenario *scenario;
    long frame;         /* the next one; -1: no stream is being told */
    int64_t began, due;
    int heap_at;        /* 0: not in the heap */
};

static int poller;
static char *scratch;
static struct scenario *scenarios;
static struct connection **heap;
static int heap_size, heap_room;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* the streams, the one whose next frame is due first at the top */

static void put(int at, struct connection *c) { heap[at] = c; c->heap_at = at; }

static void sift(int at) {
    struct connection *c = heap[at];
    for (; at > 1 && heap[at / 2]->due > c->due; at /= 2) put(at, heap[at / 2]);
    for (int child; (child = 2 * at) <= heap_size; at = child) {
        if (child < heap_size && heap[child + 1]->due < heap[child]->due) child++;
        if (heap[child]->due >= c->due) break;
        put(at, heap[child]);
    }
    put(at, c);
}

static void schedule(struct connection *c, int64_t due) {
    c->due = due;
    if (!c->heap_at) {
        if (heap_size + 2 > heap_room) heap = realloc(heap, (heap_room = 2 * heap_room + 64) * sizeof *heap);
        put(++heap_size, c);
    }
    sift(c->heap_at);
}

static void unschedule(struct connection *c) {
    if (!c->heap_at) return;
    int at = c->heap_at;
    struct connection *last = heap[heap_size--];
    c->heap_at = 0;
    if (last != c) { put(at, last); sift(at); }
}

/* what is written */

static void drop(struct connection *c) {
    unschedule(c);
    close(c->fd);
    free(c->out);
    free(c);
}

static void await(struct connection *c, int is_waiting) {
    if (c->is_waiting == is_waiting) return;
    c->is_waiting = is_waiting;
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | (is_waiting ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

/* 0: the connection is gone */
static int flush(struct connection *c) {
    while (c->out_at < c->out_size) {
        ssize_t n = write(c->fd, c->out + c->out_at, c->out_size - c->out_at);
        if (n < 0 && errno == EAGAIN) { await(c, 1); return 1; }
        if (n <= 0) { drop(c); return 0; }
        c->out_at += n;
    }
    c->out_at = c->out_size = 0;
    await(c, 0);
    return 1;
}

static char *room(struct connection *c, size_t size) {
    if (c->out_size + size > c->out_room) c->out = realloc(c->out, c->out_room = 2 * (c->out_size + size));
    return c->out + c->out_size;
}

static void say(struct connection *c, const char *data, size_t size) {
    memcpy(room(c, size), data, size);
    c->out_size += size;
}

static void say_chunk(struct connection *c, const char *data, size_t size) {
    char *at = room(c, size + 16);
    int n = sprintf(at, "%zx\r\n", size);
    memcpy(at + n, data, size);
    memcpy(at + n + size, "\r\n", 2);
    c->out_size += n + size + 2;
}

#define ABOUT "\"id\":\"chatcmpl-lab0000000000000000000000\",\"object\":\"chat.completion.chunk\",\"created\":1763600000," \
              "\"model\":\"%s\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_lab\""

static void say_frame(struct connection *c) {
    char frame[512];
    int n = sprintf(frame, "data: {" ABOUT ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"#%07ld@%019lld wor\"},"
                    "\"logprobs\":null,\"finish_reason\":null}]}\n\n", c->scenario->name, c->frame++, (long long)now());
    say_chunk(c, frame, n);
}

static void say_end(struct connection *c) {
    char frame[512];
    int n = sprintf(frame, "data: {" ABOUT ",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n",
                    c->scenario->name);
    say_chunk(c, frame, n);
    n = sprintf(frame, "data: {" ABOUT ",\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":%ld,\"total_tokens\":%ld}}\n\n",
                c->scenario->name, c->frame, c->frame + 100);
    say_chunk(c, frame, n);
    say_chunk(c, "data: [DONE]\n\n", 14);
    say(c, "0\r\n\r\n", 5);
    c->frame = -1;
}

/* Tells whatever is due, and when the next frame is; 0: the connection is gone */
static int tell(struct connection *c) {
    struct scenario *s = c->scenario;
    int64_t at = now();
    do {
        if (c->out_size > c->out_at && !flush(c)) return 0;
        if (c->is_waiting) { unschedule(c); return 1; }
        while (c->frame < s->frames && c->out_size < PIECE && c->began + c->frame * s->interval <= at) say_frame(c);
        if (c->frame == s->frames) { say_end(c); unschedule(c); return flush(c); }
        if (!flush(c)) return 0;
    } while (!s->interval && !c->is_waiting);
    if (c->is_waiting) unschedule(c);
    else schedule(c, c->began + c->frame * s->interval);
    return 1;
}

/* what is asked */

static struct scenario *find(const char *name, size_t size) {
    for (struct scenario *s = scenarios; s; s = s->next)
        if (strlen(s->name) == size && !memcmp(s->name, name, size)) return s;
    if (size >= sizeof ((struct scenario *)0)->name) return NULL;
    struct scenario *s = calloc(1, sizeof *s);
    memcpy(s->name, name, size);
    long bytes, micros;
    if (sscanf(s->name, "whole-%ld", &bytes) == 1) {
        char *body = malloc(bytes + 1024), *text = malloc(bytes + 32);
        size_t n = sprintf(text, "begin-of-answer");
        while ((long)n < bytes - 14) n += sprintf(text + n, " %s", n % 3 ? "word" : "another");
        sprintf(text + n, " end-of-answer");
        n = sprintf(body, "{\"id\":\"chatcmpl-lab0000000000000000000000\",\"object\":\"chat.completion\",\"created\":1763600000,\"model\":\"%s\","
                    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null,\"annotations\":[]},"
                    "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":%ld,\"total_tokens\":%ld,"
                    "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0}},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_lab\"}",
                    s->name, text, bytes / 4, bytes / 4 + 100);
        s->answer = malloc(n + 256);
        s->size = sprintf(s->answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_lab\r\nContent-Length: %zu\r\n\r\n", n);
        memcpy(s->answer + s->size, body, n);
        s->size += n;
        free(body);
        free(text);
    } else if (sscanf(s->name, "stream-%ld-%ld", &s->frames, &micros) == 2) {
        s->interval = micros * 1000LL;
    } else {
        free(s);
        return NULL;
    }
    s->next = scenarios;
    return scenarios = s;
}

static struct scenario *asked(const char *data, size_t size) {
    const char *at = memmem(data, size, "\"model\":", 8);
    if (!at) return NULL;
    at += 8;
    if (at < data + size && *at == ' ') at++;
    if (at >= data + size || *at != '"') return NULL;
    at++;
    const char *end = memchr(at, '"', data + size - at);
    return end ? find(at, end - at) : NULL;
}

static int is_complete(struct connection *c) {
    return memmem(c->late, c->late_size, "end-of-request", 14) || memmem(c->early, c->early_size, "end-of-request", 14);
}

static int answer(struct connection *c) {
    static const char bad[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n"
                              "{\"error\":{\"message\":\"no such scenario\"}}";
    struct scenario *s = asked(c->early + c->head_size, c->early_size - c->head_size);
    if (!s) s = asked(c->late, c->late_size);
    int is_good = s && is_complete(c);
    c->is_head = 1;
    c->early_size = c->late_size = 0;
    if (!is_good) {
        say(c, bad, sizeof bad - 1);
        return flush(c);
    }
    if (s->answer) {
        if (c->out_size) { say(c, s->answer, s->size); return flush(c); }
        ssize_t n = write(c->fd, s->answer, s->size);
        if (n < 0 && errno != EAGAIN) { drop(c); return 0; }
        if (n < (ssize_t)s->size) { n = n < 0 ? 0 : n; say(c, s->answer + n, s->size - n); return flush(c); }
        return 1;
    }
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nx-request-id: req_lab\r\nTransfer-Encoding: chunked\r\n\r\n";
    char frame[512];
    int n = sprintf(frame, "data: {" ABOUT ",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},"
                    "\"logprobs\":null,\"finish_reason\":null}]}\n\n", s->name);
    c->scenario = s;
    say(c, head, sizeof head - 1);
    say_chunk(c, frame, n);
    c->frame = 0;
    c->began = now();
    return tell(c);
}

static int64_t length_of(const char *head, size_t size) {
    static const char name[] = "\r\ncontent-length:";
    for (size_t at = 0; at + sizeof name < size; at++)
        if (head[at] == '\r' && !strncasecmp(head + at, name, sizeof name - 1)) return atoll(head + at + sizeof name - 1);
    return 0;
}

static void keep_late(struct connection *c, const char *data, size_t size) {
    if (size >= EDGE) {
        memcpy(c->late, data + size - EDGE, EDGE);
        c->late_size = EDGE;
        return;
    }
    size_t kept = c->late_size + size > EDGE ? EDGE - size : c->late_size;
    memmove(c->late, c->late + c->late_size - kept, kept);
    memcpy(c->late + kept, data, size);
    c->late_size = kept + size;
}

static void take(struct connection *c) {
    for (;;) {
        ssize_t n = read(c->fd, scratch, READ);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) { drop(c); return; }
        size_t used = 0;
        if (c->is_head) {
            size_t fits = EDGE - c->early_size < (size_t)n ? EDGE - c->early_size : (size_t)n;
            memcpy(c->early + c->early_size, scratch, fits);
            size_t before = c->early_size;
            c->early_size += fits;
            char *end = memmem(c->early, c->early_size, "\r\n\r\n", 4);
            if (!end) {
                if (c->early_size == EDGE) drop(c);
                return;
            }
            c->head_size = end + 4 - c->early;
            c->left = length_of(c->early, c->head_size);
            c->is_head = 0;
            used = c->head_size - before;
        } else if (c->early_size < EDGE) {
            size_t fits = EDGE - c->early_size < (size_t)n ? EDGE - c->early_size : (size_t)n;
            memcpy(c->early + c->early_size, scratch, fits);
            c->early_size += fits;
        }
        keep_late(c, scratch + used, n - used);
        c->left -= n - used;
        if (c->left <= 0) { answer(c); return; }
        if (n < READ) return;
    }
}

int main(int count, char **words) {
    if (count != 2) { fprintf(stderr, "usage: mock PORT\n"); return 2; }
    signal(SIGPIPE, SIG_IGN);
    scratch = malloc(READ);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (void *)&where, size) || listen(listener, 4096)) { perror("mock"); return 1; }
    getsockname(listener, (void *)&where, &size);
    printf("%d\n", ntohs(where.sin_port));
    fflush(stdout);
    poller = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN}, ready[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int64_t wait = heap_size ? heap[1]->due - now() : 1000000000LL;
        struct timespec t = {.tv_sec = wait > 0 ? wait / 1000000000 : 0, .tv_nsec = wait > 0 ? wait % 1000000000 : 0};
        int n = epoll_pwait2(poller, ready, 256, &t, NULL);
        for (int i = 0; i < n; i++) {
            struct connection *c = ready[i].data.ptr;
            if (!c) {
                int fd;
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    c = calloc(1, sizeof *c);
                    *c = (struct connection){.fd = fd, .is_head = 1, .frame = -1};
                    e = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
                    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
                }
            } else if (ready[i].events & (EPOLLHUP | EPOLLERR)) {
                drop(c);
            } else if (ready[i].events & EPOLLOUT) {
                if (flush(c) && !c->is_waiting && c->frame >= 0) tell(c);
            } else {
                take(c);
            }
        }
        for (int64_t at = now(); heap_size && heap[1]->due <= at;) tell(heap[1]);
    }
}
