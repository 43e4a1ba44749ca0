/*
 * reference - what fan-out costs at the least on this machine: a minimal sender in C.
 *
 * It makes up a stream of 2.1 Mbit/s (25 pictures of 8 980 bytes a second, every 50th of 60 000; 43 pieces of audio of
 * 370 bytes), or several that are not in step, and sends it to N connections: two threads, each with an epoll set and an
 * eventfd, one send() for each connection and flush, out of one contiguous buffer. There is no protocol and no input. A child
 * process drains the connections in the same rhythm as referee.c, so that the figures of the two compare.
 *
 *   reference [--count N] [--streams S] [--duration S] [--flush MS]
 *
 * --flush -1 (the default) sends with each picture, audio rides along; 0 sends each packet; else every MS milliseconds, at
 * the most 1000. The connections are dealt out to the streams, and those of each stream to the threads.
 * The result is one JSON line on standard output. What was sent is never freed: runs are short.
 *
 * Build: gcc -O2 -Wall -Wextra -o reference reference.c -lpthread
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 2, RING = 2048, CHUNK = 1 << 20, KEY_BYTES = 60000, PICTURE_BYTES = 8980, AUDIO_BYTES = 370 };
static const double picture_step = 1.0 / 25, audio_step = 1.0 / 43, warm_up = 1.2, drain_tick = 0.1;

struct segment { /* what is sent at once */
    char *data;
    size_t len;
};

struct stream;

struct peer {
    struct stream *stream;
    int fd, blocked;
    unsigned long next; /* segment */
    size_t off;         /* bytes of it that are sent */
};

struct worker {
    struct peer *peers;
    int npeers, epoll, event;
    atomic_ullong bytes, calls, blocked;
};

/* One stream. The segment that is being filled is cut out of a chunk, so that each is contiguous. */
struct stream {
    struct segment ring[RING], filling;
    atomic_ulong head;
    char *chunk;
    size_t chunk_used;
    double start; /* of its clock */
    long pictures, audios;
    struct group { /* its peers at a worker */
        struct peer **peers;
        int npeers;
        atomic_int due;
    } groups[THREADS];
};

static struct stream *streams;
static int nstreams = 1;
static struct worker workers[THREADS];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void wait_until(double t)
{
    double left = t - now();
    if (left > 0)
        usleep((useconds_t)(left * 1e6));
}

static double process_seconds(pid_t pid)
{
    clockid_t id;
    struct timespec t;
    if (clock_getcpuclockid(pid, &id) || clock_gettime(id, &t))
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(double *user, double *sys)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    *user = (double)r.ru_utime.tv_sec + (double)r.ru_utime.tv_usec / 1e6;
    *sys = (double)r.ru_stime.tv_sec + (double)r.ru_stime.tv_usec / 1e6;
    return *user + *sys;
}

/* Busy seconds of the whole machine, all CPUs together. */
static double machine_busy(void)
{
    FILE *f = fopen("/proc/stat", "r");
    unsigned long long v[8] = {0};
    if (!f)
        return 0;
    int k = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7);
    fclose(f);
    return k == 8 ? (double)(v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / (double)sysconf(_SC_CLK_TCK) : 0;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---------------- the sender ---------------- */

static void watch(struct worker *w, struct peer *p, int op)
{
    struct epoll_event e = {.events = (p->blocked ? EPOLLOUT : EPOLLIN) | EPOLLET, .data.ptr = p};
    epoll_ctl(w->epoll, op, p->fd, &e);
}

/* Sends a peer what it has not had yet. One who is a whole ring behind goes on with the newest. */
static void pump(struct worker *w, struct peer *p)
{
    struct stream *st = p->stream;
    unsigned long h = atomic_load_explicit(&st->head, memory_order_acquire);
    while (p->next < h) {
        if (h - p->next > RING - 8) {
            p->next = h;
            p->off = 0;
            return;
        }
        struct segment *s = &st->ring[p->next % RING];
        ssize_t n = send(p->fd, s->data + p->off, s->len - p->off, MSG_DONTWAIT | MSG_NOSIGNAL);
        atomic_fetch_add_explicit(&w->calls, 1, memory_order_relaxed);
        if (n < 0) {
            if (errno == EAGAIN) {
                atomic_fetch_add(&w->blocked, 1);
                p->blocked = 1;
                watch(w, p, EPOLL_CTL_MOD);
            }
            return;
        }
        atomic_fetch_add_explicit(&w->bytes, (unsigned long long)n, memory_order_relaxed);
        p->off += (size_t)n;
        if (p->off == s->len) {
            p->next++;
            p->off = 0;
        }
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct epoll_event ev[256];
    for (;;) {
        int k = epoll_wait(w->epoll, ev, 256, -1), flushed = 0;
        for (int i = 0; i < k; i++) {
            struct peer *p = ev[i].data.ptr;
            unsigned long long count;
            if (!p) {
                flushed |= read(w->event, &count, sizeof count) > 0;
            } else if (p->blocked && ev[i].events & EPOLLOUT) {
                p->blocked = 0;
                watch(w, p, EPOLL_CTL_MOD);
                pump(w, p);
            }
        }
        for (int s = 0; flushed && s < nstreams; s++) {
            struct group *g = &streams[s].groups[w - workers];
            if (!atomic_exchange(&g->due, 0))
                continue;
            for (int i = 0; i < g->npeers; i++)
                if (!g->peers[i]->blocked)
                    pump(w, g->peers[i]);
        }
    }
    return NULL;
}

static unsigned long long made; /* bytes handed to the workers, times their peers */

static void fill(struct stream *st, size_t len, int value)
{
    if (!st->chunk || st->chunk_used + len > CHUNK) {
        st->chunk = malloc(CHUNK);
        if (!st->chunk)
            die("malloc");
        st->chunk_used = 0;
    }
    if (!st->filling.len)
        st->filling.data = st->chunk + st->chunk_used;
    memset(st->chunk + st->chunk_used, value, len);
    st->filling.len += len;
    st->chunk_used += len;
}

static void flush(struct stream *st)
{
    unsigned long h = atomic_load_explicit(&st->head, memory_order_relaxed);
    unsigned long long one = 1;
    if (!st->filling.len)
        return;
    st->ring[h % RING] = st->filling;
    atomic_store_explicit(&st->head, h + 1, memory_order_release);
    for (int i = 0; i < THREADS; i++)
        made += st->filling.len * (unsigned long long)st->groups[i].npeers;
    st->filling.len = 0;
    for (int i = 0; i < THREADS; i++)
        if (!atomic_exchange(&st->groups[i].due, 1) && write(workers[i].event, &one, sizeof one) < 0)
            die("eventfd");
    if (st->chunk_used + CHUNK / 2 > CHUNK)
        st->chunk = NULL;
}

/* ---------------- the drain ---------------- */

static void drain(struct sockaddr_in to, int n)
{
    int *fd = calloc((size_t)n, sizeof *fd), live = n;
    static char untouched[1 << 20]; /* MSG_TRUNC copies nothing */
    if (!fd)
        die("calloc");
    for (int i = 0; i < n; i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd[i], (void *)&to, sizeof to) < 0)
            die("connect");
    }
    double start = now();
    for (long done = 0; live > 0; usleep(1000))
        for (long due = (long)((now() - start) / drain_tick * n); done < due && live > 0; done++) {
            int *f = &fd[done % n];
            if (*f < 0)
                continue;
            ssize_t r = recv(*f, untouched, sizeof untouched, MSG_TRUNC | MSG_DONTWAIT);
            if (r == 0 || (r < 0 && errno != EAGAIN && errno != EINTR)) {
                close(*f);
                *f = -1;
                live--;
            }
        }
}

/* ---------------- main ---------------- */

static unsigned long long sum_bytes(void)
{
    unsigned long long n = 0;
    for (int i = 0; i < THREADS; i++)
        n += workers[i].bytes;
    return n;
}

static unsigned long long sum_calls(void)
{
    unsigned long long n = 0;
    for (int i = 0; i < THREADS; i++)
        n += workers[i].calls;
    return n;
}

static void accept_peers(int listener, int n)
{
    int one = 1;
    for (int i = 0; i < THREADS; i++) {
        struct worker *w = &workers[i];
        w->peers = calloc((size_t)(n / THREADS + 1), sizeof *w->peers);
        w->epoll = epoll_create1(EPOLL_CLOEXEC);
        w->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        struct epoll_event e = {.events = EPOLLIN | EPOLLET};
        if (!w->peers || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->event, &e) < 0)
            die("worker");
    }
    for (int i = 0; i < n; i++) {
        struct worker *w = &workers[i % THREADS];
        struct peer *p = &w->peers[w->npeers++];
        p->stream = &streams[i / THREADS % nstreams];
        struct group *g = &p->stream->groups[w - workers];
        g->peers = realloc(g->peers, (size_t)(g->npeers + 1) * sizeof *g->peers);
        if (!g->peers)
            die("realloc");
        g->peers[g->npeers++] = p;
        p->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (p->fd < 0)
            die("accept");
        setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(w, p, EPOLL_CTL_ADD);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"count", 1, 0, 'n'}, {"duration", 1, 0, 'd'}, {"flush", 1, 0, 'f'}, {"streams", 1, 0, 's'}, {0, 0, 0, 0}};
    int n = 1000;
    double duration = 5, every = -1;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (o) {
        case 'n': n = atoi(optarg); break;
        case 'd': duration = atof(optarg); break;
        case 's': nstreams = atoi(optarg); break;
        case 'f': every = atof(optarg) / 1000; break;
        default: n = 0;
        }
    if (n < 1 || nstreams < 1 || duration <= 0 || every > 1 || optind < argc) {
        fputs("usage: reference [--count N] [--streams S] [--duration S] [--flush MS]\n", stderr);
        return 2;
    }
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    if ((rlim_t)(n + 32) > rl.rlim_cur) {
        fprintf(stderr, "reference: only %llu file descriptors allowed\n", (unsigned long long)rl.rlim_cur);
        return 2;
    }

    streams = calloc((size_t)nstreams, sizeof *streams);
    if (!streams)
        die("calloc");
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    if (bind(listener, (void *)&a, sizeof a) < 0 || listen(listener, 4096) < 0 || getsockname(listener, (void *)&a, &len) < 0)
        die("listen");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        close(listener);
        drain(a, n);
        return 0;
    }
    accept_peers(listener, n);
    for (int i = 0; i < THREADS; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, work, &workers[i]))
            die("thread");
    }
    usleep(500000);

    double start = now(), t0 = 0, user0 = 0, sys0 = 0, user1, sys1, busy0 = 0, lag = 0;
    double next_flush = start + every / 2; /* so that the window's edges, with the default times, lie between flushes */
    for (int i = 0; i < nstreams; i++)
        streams[i].start = start + picture_step * (double)(i * 618034L % 1000000) / 1e6; /* the golden ratio spreads them */
    unsigned long long made0 = 0, bytes0 = 0, calls0 = 0;
    for (;;) {
        struct stream *st = NULL;
        double due = HUGE_VAL;
        int picture = 0;
        for (int i = 0; i < nstreams; i++) {
            struct stream *x = &streams[i];
            double tp = x->start + (double)x->pictures * picture_step, ta = x->start + (double)x->audios * audio_step + 0.0001;
            double next = tp < ta ? tp : ta;
            if (next < due) {
                due = next;
                st = x;
                picture = tp < ta;
            }
        }
        for (; every > 0 && next_flush <= due; next_flush += every) {
            wait_until(next_flush);
            for (int i = 0; i < nstreams; i++)
                flush(&streams[i]);
        }
        wait_until(due);
        if (t0 > 0 && now() - due > lag)
            lag = now() - due;
        if (t0 <= 0 && now() >= start + warm_up) { /* the window begins */
            cpu_seconds(&user0, &sys0);
            busy0 = machine_busy() - process_seconds(child);
            t0 = now();
            made0 = made;
            bytes0 = sum_bytes();
            calls0 = sum_calls();
        }
        if (now() >= start + warm_up + duration)
            break;
        size_t bytes = !picture ? AUDIO_BYTES : st->pictures % 50 ? PICTURE_BYTES : KEY_BYTES;
        fill(st, bytes, (int)st->pictures);
        if (picture)
            st->pictures++;
        else
            st->audios++;
        if (every == 0 || (every < 0 && picture))
            flush(st);
    }
    double cpu = cpu_seconds(&user1, &sys1) - user0 - sys0, secs = now() - t0, others = machine_busy() - process_seconds(child) - busy0 - cpu;
    double gb = (double)(sum_bytes() - bytes0) / 1e9;
    unsigned long long calls = sum_calls() - calls0;
    printf("{\"players\":%d,\"secs\":%.3f,\"bytes\":%.0f,\"ratio\":%.4f,\"cpu\":%.3f,\"cpu_user\":%.3f,\"cpu_sys\":%.3f,"
           "\"cpu_per_gb\":%.4f,\"us_per_send\":%.2f,\"sends\":%llu,\"late_ms\":%.1f,\"others_cpu\":%.3f}\n",
           n, secs, gb * 1e9, gb * 1e9 / ((double)(made - made0)), cpu, user1 - user0, sys1 - sys0, cpu / gb,
           cpu * 1e6 / (double)calls, calls, lag * 1e3, others);
    fflush(stdout);
    for (int i = 0; i < THREADS; i++)
        for (int k = 0; k < workers[i].npeers; k++)
            shutdown(workers[i].peers[k].fd, SHUT_RDWR);
    waitpid(child, NULL, 0);
    return 0;
}
