/*
 * crowd - viewers of HTTP Live Streaming, cheaply, and what they cost the server.
 *
 * One single-threaded epoll process with N connections that are kept alive, in one of two ways:
 *   - viewers (the default): each loads its media playlist once in a target duration, all of them evenly spread over it, and
 *     fetches each segment that is new, once. With --low-latency it asks for the part that comes next (_HLS_msn, _HLS_part),
 *     waits for the answer, and fetches each part that is new.
 *   - --flood: each asks for the playlist again as soon as it has got it.
 * Each has an address of its own, 127.1.0.1 and up. It keeps cookies, as browsers do, and understands answers with a Content-Length only. The result is one JSON line.
 *
 *   crowd --url http://127.0.0.1:8080/live/s0/hls.m3u8 [--count N] [--pid PID[,PID...]] [--ramp PER_SECOND] [--warmup S]
 *         [--duration S] [--low-latency] [--flood] [--gzip] [--no-cookies] [--tick MS] [--mark]
 *
 * Why it is cheap: heads and playlists are read, the bodies of segments are drained by recv(MSG_TRUNC), which copies nothing.
 * Viewers are looked at every 2 ms (--tick), so that what servers send does not wake it up each time.
 *
 * What is told: bytes and requests answered in a window, media seconds got of those that went by, the server's CPU (of all
 * PIDs), times of playlists and segments, and the age of playlists: how long ago the newest piece in it was complete, by
 * EXT-X-PROGRAM-DATE-TIME. A piece is missed if it was gone from the playlist before it could be asked for, and late if it took
 * longer than a target duration from the playlist that named it.
 *
 * Build: gcc -O2 -Wall -Wextra -o crowd crowd.c
 *
 * Connect only to servers that you run yourself.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define PROGRAM "crowd"
#include "common.h"

enum { PIECES = 32, NAME = 256, HEAD = 8192, BODY_MOST = 1 << 20, PIDS = 64 };

static const char *opt_url;
static int opt_count = 1, opt_tick = 2, opt_ramp = 400, opt_warmup = 2, opt_duration = 8, opt_ll, opt_flood, opt_gzip, opt_no_cookies, opt_mark;
static int pids[PIDS], npids;

static struct sockaddr_in to;
static char host[64], path[512], folder[512]; /* folder: of the playlist, with the last slash */

/* ---------------- playlists ---------------- */

struct piece { /* a segment or a part */
    char name[NAME];
    usec_t duration;
};

/* What a playlist says to a viewer who wants piece `part` of segment `number`, and those after it. */
struct playlist {
    uint64_t first, number; /* media sequence numbers: of the first segment, of the one that comes or is in the making */
    int part;               /* parts there are of that one */
    usec_t target, edge;    /* edge: when the newest piece was complete, microseconds since 1970; 0: not told */
    struct piece pieces[PIECES];
    int npieces, missed;
};

/* "2026-11-23T14:17:30.238Z" to microseconds since 1970, or 0. */
static usec_t parse_date(const char *s)
{
    struct tm tm = {0};
    double second;
    if (sscanf(s, "%4d-%2d-%2dT%2d:%2d:%lf", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &second) != 6)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return (usec_t)timegm(&tm) * 1000000 + (usec_t)(second * 1e6 + 0.5);
}

static const char *after(const char *line, const char *tag)
{
    size_t n = strlen(tag);
    return strncmp(line, tag, n) ? NULL : line + n;
}

static void add_piece(struct playlist *p, const char *name, size_t n, usec_t duration)
{
    if (n >= NAME)
        die("the name of a segment is too long");
    if (p->npieces == PIECES) { /* the oldest goes */
        memmove(p->pieces, p->pieces + 1, (PIECES - 1) * sizeof *p->pieces);
        p->npieces--;
        p->missed++;
    }
    struct piece *x = &p->pieces[p->npieces++];
    memcpy(x->name, name, n);
    x->name[n] = 0;
    x->duration = duration;
}

/* Reads a playlist, which ends with a zero. Pieces before `number` and `part` are not taken; part < 0: no parts at all. Returns
 * 0 if it is no media playlist. */
static int parse_playlist(const char *s, uint64_t number, int part, struct playlist *p)
{
    const char *v;
    usec_t duration = 0, date = 0;
    memset(p, 0, offsetof(struct playlist, pieces));
    p->npieces = p->missed = 0;
    if (strncmp(s, "#EXTM3U", 7))
        return 0;
    for (; *s; s += strcspn(s, "\n"), s += *s == '\n') {
        if ((v = after(s, "#EXT-X-MEDIA-SEQUENCE:"))) {
            p->first = p->number = strtoull(v, NULL, 10);
        } else if ((v = after(s, "#EXT-X-SKIP:SKIPPED-SEGMENTS="))) {
            p->number += strtoull(v, NULL, 10);
        } else if ((v = after(s, "#EXT-X-TARGETDURATION:"))) {
            p->target = (usec_t)(strtod(v, NULL) * 1e6);
        } else if ((v = after(s, "#EXT-X-PROGRAM-DATE-TIME:"))) {
            date = parse_date(v);
            p->edge = date;
        } else if ((v = after(s, "#EXT-X-PART:"))) {
            const char *d = strstr(v, "DURATION="), *u = strstr(v, "URI=\"");
            if (!d || !u)
                return 0;
            usec_t length = (usec_t)(strtod(d + 9, NULL) * 1e6);
            p->edge += p->edge ? length : 0;
            if (part >= 0 && (p->number > number || (p->number == number && p->part >= part)))
                add_piece(p, u + 5, strcspn(u + 5, "\""), length);
            p->part++;
        } else if ((v = after(s, "#EXTINF:"))) {
            duration = (usec_t)(strtod(v, NULL) * 1e6);
        } else if (*s != '#' && *s != '\n' && *s != '\r') {
            if (part < 0 && p->number >= number)
                add_piece(p, s, strcspn(s, "\r\n"), duration);
            p->number++;
            p->part = 0;
            date += date ? duration : 0;
            p->edge = date;
        }
    }
    if (number && number < p->first)
        p->missed += (int)(p->first - number);
    return p->target > 0;
}

/* ---------------- viewers ---------------- */

enum state { IDLE, CONNECTING, WAITS, HEADS, BODY, DEAD }; /* WAITS: for the time of its next request */

struct viewer {
    int fd, joined, status, drains, is_list;
    enum state st;
    usec_t start, due, asked, listed; /* connect; next playlist; this request; the playlist that named the pieces */
    char *in;
    size_t len, cap, body, got; /* bytes in `in`; the body's length and how much of it came */
    char cookie[128];
    uint64_t number; /* what it wants next */
    int part;
    struct piece pieces[PIECES];
    int npieces, piece;
};

static struct viewer *viewers;
static int ep, nstarted, njoined, ndead, nfailed, in_window;
static usec_t target = 2000000, base;
static char first_error[256];
static struct {
    uint64_t bytes, requests, lists, pieces, missed, late, list_bytes;
    usec_t media;
} n;
static struct samples t_join, t_list, t_piece, t_age;

static void fail(struct viewer *v, const char *why)
{
    if (!first_error[0])
        snprintf(first_error, sizeof first_error, "viewer %d: %s (state %d, HTTP %d)", (int)(v - viewers), why, v->st, v->status);
    if (v->joined)
        ndead++;
    else
        nfailed++;
    v->st = DEAD;
    close(v->fd);
    free(v->in);
    v->in = NULL;
}

static void listen_for(struct viewer *v, uint32_t events, int op)
{
    struct epoll_event e = {.events = events, .data.ptr = v};
    if (epoll_ctl(ep, op, v->fd, &e) < 0)
        die("epoll: %s", strerror(errno));
}

static void ask(struct viewer *v, int is_list)
{
    char head[2048], where[1024];
    if (!is_list) {
        const char *name = v->pieces[v->piece].name;
        snprintf(where, sizeof where, "%s%s", *name == '/' ? "" : folder, name);
    } else if (opt_ll && v->joined) {
        snprintf(where, sizeof where, "%s?_HLS_msn=%llu&_HLS_part=%d", path, (unsigned long long)v->number, v->part);
    } else {
        snprintf(where, sizeof where, "%s", path);
    }
    int k = snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: crowd\r\nAccept: */*\r\n%s%s%s%s\r\n", where, host,
                     is_list && opt_gzip ? "Accept-Encoding: gzip\r\n" : "", v->cookie[0] ? "Cookie: " : "", v->cookie,
                     v->cookie[0] ? "\r\n" : "");
    v->is_list = is_list;
    v->asked = now_us();
    v->st = HEADS;
    v->len = 0;
    if (send(v->fd, head, (size_t)k, MSG_NOSIGNAL | MSG_DONTWAIT) != k)
        fail(v, "cannot send a request");
}

static void connect_viewer(struct viewer *v)
{
    int one = 1;
    v->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (v->fd < 0)
        die("socket: %s", strerror(errno));
    setsockopt(v->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010001u + (uint32_t)(v - viewers))};
    setsockopt(v->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(v->fd, (void *)&from, sizeof from) < 0)
        die("bind: %s", strerror(errno));
    v->start = now_us();
    v->cap = HEAD;
    v->in = xrealloc(NULL, v->cap);
    v->st = CONNECTING;
    if (connect(v->fd, (void *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        fail(v, strerror(errno));
        return;
    }
    listen_for(v, EPOLLOUT, EPOLL_CTL_ADD);
}

/* The first time from now on that is the viewer's: they are spread over a target duration by the golden ratio. */
static usec_t next_due(const struct viewer *v, usec_t now)
{
    usec_t phase = (usec_t)((uint64_t)(v - viewers) * 618034 % 1000000) * target / 1000000;
    usec_t since = now - base - phase;
    return base + phase + (since / target + 1) * target;
}

static void next_request(struct viewer *v)
{
    if (opt_flood || (opt_ll && v->piece == v->npieces)) {
        ask(v, 1);
    } else if (v->piece < v->npieces) {
        ask(v, 0);
    } else {
        v->st = WAITS;
    }
}

static void got_list(struct viewer *v, usec_t now)
{
    static struct playlist p;
    n.lists++;
    n.list_bytes += v->body;
    if (in_window)
        sample_add(&t_list, now - v->asked);
    if (opt_flood)
        return;
    v->in[v->len] = 0;
    char *body = v->in + (v->len - v->body);
    if (!parse_playlist(body, v->number, opt_ll ? v->part : -1, &p)) {
        fail(v, "this is no media playlist");
        return;
    }
    target = p.target;
    if (!v->joined && p.npieces) { /* begin with the newest */
        p.pieces[0] = p.pieces[p.npieces - 1];
        p.npieces = 1;
    } else {
        n.missed += (uint64_t)p.missed;
    }
    if (in_window && p.edge) {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        sample_add(&t_age, (usec_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 - p.edge);
    }
    memcpy(v->pieces, p.pieces, (size_t)p.npieces * sizeof *p.pieces);
    v->npieces = p.npieces;
    v->piece = 0;
    v->number = p.number;
    v->part = p.part;
    v->listed = now;
    v->due = v->joined ? v->due + target : next_due(v, now);
    if (v->due < now) /* it was late itself */
        v->due = next_due(v, now);
}

static void got_piece(struct viewer *v, usec_t now)
{
    n.pieces++;
    n.media += v->pieces[v->piece].duration;
    if (in_window)
        sample_add(&t_piece, now - v->asked);
    if (now - v->listed > target)
        n.late++;
    v->piece++;
}

static void answered(struct viewer *v, usec_t now)
{
    n.requests++;
    if (v->is_list)
        got_list(v, now);
    else
        got_piece(v, now);
    if (v->st == DEAD)
        return;
    if (!v->joined && (opt_flood || !v->is_list)) {
        v->joined = 1;
        njoined++;
        sample_add(&t_join, now - v->start);
    } else if (!v->joined && !v->npieces) {
        fail(v, "there is nothing in the playlist");
        return;
    }
    next_request(v);
}

/* Finds a field in a head that ends with a zero. */
static const char *field(const char *head, const char *name)
{
    size_t k = strlen(name);
    for (const char *s = strstr(head, "\r\n"); s; s = strstr(s, "\r\n")) {
        s += 2;
        if (!strncasecmp(s, name, k) && s[k] == ':')
            return s + k + 1 + strspn(s + k + 1, " ");
    }
    return NULL;
}

/* Looks at what came of a head. Returns 0 while it is not complete, or the answer is no good. */
static int parse_head(struct viewer *v)
{
    v->in[v->len] = 0;
    char *end = strstr(v->in, "\r\n\r\n");
    if (!end) {
        if (v->len + 1 >= v->cap)
            fail(v, "the head is too long");
        return 0;
    }
    end[2] = 0;
    const char *length = field(v->in, "Content-Length"), *cookie = field(v->in, "Set-Cookie");
    if (sscanf(v->in, "HTTP/1.1 %d", &v->status) != 1 || v->status != 200 || !length) {
        fail(v, length ? "not 200" : "an answer without Content-Length");
        return 0;
    }
    if (cookie && !opt_no_cookies)
        snprintf(v->cookie, sizeof v->cookie, "%.*s", (int)strcspn(cookie, ";\r"), cookie);
    size_t head = (size_t)(end + 4 - v->in);
    v->body = strtoull(length, NULL, 10);
    v->got = v->len - head;
    v->drains = !v->is_list || opt_flood;
    n.bytes += v->got;
    if (!v->drains) { /* keep the body only */
        memmove(v->in, v->in + head, v->got);
        v->len = v->got;
        if (v->body > BODY_MOST) {
            fail(v, "the playlist is too long");
            return 0;
        }
        if (v->cap < v->body + 1)
            v->in = xrealloc(v->in, v->cap = v->body + 1);
    }
    v->st = BODY;
    return 1;
}

static char trash[1 << 20]; /* never touched: MSG_TRUNC copies nothing */

static void readable(struct viewer *v)
{
    for (;;) {
        ssize_t k;
        if (v->st == HEADS)
            k = recv(v->fd, v->in + v->len, HEAD - 1 - v->len, MSG_DONTWAIT);
        else if (v->st == BODY && v->drains)
            k = recv(v->fd, trash, v->body - v->got < sizeof trash ? v->body - v->got : sizeof trash, MSG_TRUNC | MSG_DONTWAIT);
        else if (v->st == BODY)
            k = recv(v->fd, v->in + v->len, v->body - v->got, MSG_DONTWAIT);
        else
            k = recv(v->fd, trash, 1, MSG_DONTWAIT);
        if (k < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (k <= 0 || (v->st != HEADS && v->st != BODY)) {
            fail(v, k < 0 ? strerror(errno) : k ? "more than was asked for" : "closed by the server");
            return;
        }
        if (v->st == HEADS) {
            v->len += (size_t)k;
            if (!parse_head(v)) {
                if (v->st == DEAD)
                    return;
                continue;
            }
        } else {
            v->got += (size_t)k;
            n.bytes += (size_t)k;
            v->len += v->drains ? 0 : (size_t)k;
        }
        if (v->got < v->body)
            continue;
        if (v->got > v->body)
            fail(v, "more than was said");
        else
            answered(v, now_us());
        return; /* the answer to what it may have asked just now is not there yet */
    }
}

static void event(struct viewer *v, uint32_t events)
{
    if (v->st == DEAD)
        return;
    if (v->st != CONNECTING) {
        readable(v);
        return;
    }
    int e = 0;
    socklen_t k = sizeof e;
    getsockopt(v->fd, SOL_SOCKET, SO_ERROR, &e, &k);
    if (e || !(events & EPOLLOUT)) {
        fail(v, strerror(e));
        return;
    }
    listen_for(v, EPOLLIN, EPOLL_CTL_MOD);
    ask(v, 1);
}

/* ---------------- main ---------------- */

static void parse_url(const char *url)
{
    int port = 80, k = 0;
    if (sscanf(url, "http://%63[^:/]%n", host, &k) != 1 || !k)
        die("bad url %s: http://ADDRESS[:PORT]/PATH", url);
    url += k;
    to.sin_family = AF_INET;
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        die("%s is no address", host);
    if (*url == ':')
        port = (int)strtol(url + 1, (char **)&url, 10);
    to.sin_port = htons((uint16_t)port);
    snprintf(host + strlen(host), sizeof host - strlen(host), ":%d", port);
    if (snprintf(path, sizeof path, "%s", url) >= (int)sizeof path || *path != '/')
        die("bad path %s", url);
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') + 1 - path), path);
}

static void read_all(struct proc_stat *sum)
{
    memset(sum, 0, sizeof *sum);
    for (int i = 0; i < npids; i++) {
        struct proc_stat s;
        if (!read_proc(pids[i], &s))
            die("the server (pid %d) is gone", pids[i]);
        sum->user += s.user;
        sum->sys += s.sys;
        sum->rss_kb += s.rss_kb;
        sum->hwm_kb += s.hwm_kb;
        sum->threads += s.threads;
    }
}

static void usage(void)
{
    fputs("usage: crowd --url http://ADDRESS:PORT/PATH [--count N] [--pid PID,...] [--ramp PER_SECOND] [--warmup S] [--duration S]\n"
          "             [--low-latency | --flood [--gzip]] [--no-cookies] [--tick MS] [--mark]\n"
          "       crowd --parse NUMBER,PART < PLAYLIST\n", stderr);
    exit(2);
}

/* Prints what a viewer takes from a playlist: for the test. */
static int parse_input(const char *from)
{
    static char text[BODY_MOST];
    static struct playlist p;
    unsigned long long number;
    int part;
    if (sscanf(from, "%llu,%d", &number, &part) != 2)
        usage();
    text[fread(text, 1, sizeof text - 1, stdin)] = 0;
    if (!parse_playlist(text, number, part, &p))
        die("this is no media playlist");
    printf("next %llu,%d target %lld edge %lld missed %d\n", (unsigned long long)p.number, p.part, (long long)p.target,
           (long long)p.edge, p.missed);
    for (int i = 0; i < p.npieces; i++)
        printf("%s %lld\n", p.pieces[i].name, (long long)p.pieces[i].duration);
    return 0;
}

static void parse_options(int argc, char **argv)
{
    static const struct option lo[] = {
        {"url", 1, 0, 'u'}, {"count", 1, 0, 'n'}, {"pid", 1, 0, 'p'}, {"ramp", 1, 0, 'r'}, {"warmup", 1, 0, 'w'},
        {"duration", 1, 0, 'd'}, {"low-latency", 0, 0, 'l'}, {"flood", 0, 0, 'f'}, {"gzip", 0, 0, 'z'}, {"no-cookies", 0, 0, 'c'},
        {"mark", 0, 0, 'm'}, {"tick", 1, 0, 't'}, {"parse", 1, 0, 'x'}, {0, 0, 0, 0}};
    for (int o; (o = getopt_long(argc, argv, "", lo, NULL)) != -1;)
        switch (o) {
        case 'u': opt_url = optarg; break;
        case 'n': opt_count = atoi(optarg); break;
        case 'p':
            for (char *s = strtok(optarg, ","); s && npids < PIDS; s = strtok(NULL, ","))
                pids[npids++] = atoi(s);
            break;
        case 'r': opt_ramp = atoi(optarg); break;
        case 'w': opt_warmup = atoi(optarg); break;
        case 'd': opt_duration = atoi(optarg); break;
        case 'l': opt_ll = 1; break;
        case 'f': opt_flood = 1; break;
        case 'z': opt_gzip = 1; break;
        case 'c': opt_no_cookies = 1; break;
        case 'm': opt_mark = 1; break;
        case 't': opt_tick = atoi(optarg); break;
        case 'x': exit(parse_input(optarg));
        default: usage();
        }
    if (!opt_url || opt_count < 1 || opt_ramp < 1 || opt_duration < 1 || opt_tick < 1 || optind < argc || (opt_gzip && !opt_flood) || (opt_ll && opt_flood))
        usage();
    parse_url(opt_url);
}

static double ms(const struct samples *s, double p) { return s->n ? (double)pct(s, p) / 1e3 : 0; }

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    if ((rlim_t)(opt_count + 32) > rl.rlim_cur)
        die("only %llu file descriptors allowed", (unsigned long long)rl.rlim_cur);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    ep = epoll_create1(EPOLL_CLOEXEC);
    viewers = xcalloc((size_t)opt_count, sizeof *viewers);

    struct proc_stat before, ps0 = {0}, ps1;
    read_all(&before);
    usleep((useconds_t)mark_server(opt_mark && npids ? pids[0] : 0));
    usec_t t0 = now_us(), t_all = 0, t_win = 0, limit = t0 + 20000000 + (usec_t)opt_count * 1000000 / opt_ramp;
    base = t0;
    double self = 0, busy = 0;
    int live = 0, dead = 0;
    struct epoll_event ev[512];
    while (!stop) {
        usec_t now = now_us();
        while (nstarted < opt_count && now - t0 >= (usec_t)nstarted * 1000000 / opt_ramp)
            connect_viewer(&viewers[nstarted++]);
        if (!t_all && nstarted == opt_count && (njoined + nfailed == opt_count || now > limit))
            t_all = now;
        if (t_all && !t_win && now >= t_all + (usec_t)opt_warmup * 1000000) {
            memset(&n, 0, sizeof n);
            live = njoined - ndead;
            dead = ndead;
            in_window = 1;
            read_all(&ps0);
            self = self_cpu();
            busy = machine_busy();
            t_win = now = now_us();
        }
        if (t_win && now >= t_win + (usec_t)opt_duration * 1000000)
            break;
        for (int i = 0; !opt_flood && i < nstarted; i++)
            if (viewers[i].st == WAITS && viewers[i].due <= now)
                ask(&viewers[i], 1);
        if (!opt_flood) { /* what comes meanwhile is looked at all at once */
            usec_t tick = opt_tick * 1000 - (now - t0) % (opt_tick * 1000);
            usleep((useconds_t)tick);
        }
        int k;
        do {
            k = epoll_wait(ep, ev, 512, opt_flood ? 10 : 0);
            for (int i = 0; i < k; i++)
                event(ev[i].data.ptr, ev[i].events);
        } while (k == 512 && !opt_flood);
    }
    read_all(&ps1);
    double secs = (double)(now_us() - t_win) / 1e6;
    self = self_cpu() - self;
    busy = machine_busy() - busy;
    if (!t_win || stop) {
        fprintf(stderr, PROGRAM ": stopped before the window's end\n");
        return 1;
    }
    usleep((useconds_t)mark_server(opt_mark && npids ? pids[0] : 0)); /* the viewers stay until the server has looked */
    samples_sort(&t_join);
    samples_sort(&t_list);
    samples_sort(&t_piece);
    samples_sort(&t_age);
    double user = ps1.user - ps0.user, sys = ps1.sys - ps0.sys, cpu = user + sys, gb = (double)n.bytes / 1e9;
    printf("{\"secs\":%.3f,\"bytes\":%llu,\"ratio\":%.4f,\"live\":%d,\"died\":%d,\"failed_joins\":%d,"
           "\"requests\":%llu,\"playlists\":%llu,\"playlist_bytes\":%llu,\"pieces\":%llu,\"missed\":%llu,\"late_pieces\":%llu,"
           "\"cpu\":%.3f,\"cpu_user\":%.3f,\"cpu_sys\":%.3f,\"cpu_per_gb\":%.4f,\"requests_per_cpu\":%.1f,"
           "\"rss_lead_kb\":%ld,\"rss_end_kb\":%ld,\"peak_kb\":%ld,\"kb_per_viewer\":%.2f,\"threads\":%ld,"
           "\"referee_cpu\":%.3f,\"others_cpu\":%.3f,"
           "\"join_key_p50\":%.3f,\"join_key_p99\":%.3f,\"list_p50\":%.3f,\"list_p99\":%.3f,\"piece_p50\":%.3f,\"piece_p99\":%.3f,"
           "\"age_p50\":%.3f,\"age_p99\":%.3f,\"error\":\"%s\"}\n",
           secs, (unsigned long long)n.bytes, opt_flood ? 1 : (double)n.media / 1e6 / secs / opt_count, live, ndead - dead, nfailed,
           (unsigned long long)n.requests, (unsigned long long)n.lists, (unsigned long long)n.list_bytes, (unsigned long long)n.pieces,
           (unsigned long long)n.missed, (unsigned long long)n.late, cpu, user, sys, gb > 0 ? cpu / gb : 0,
           cpu > 0 ? (double)n.requests / cpu : 0, before.rss_kb, ps1.rss_kb, ps1.hwm_kb,
           (double)(ps1.rss_kb - before.rss_kb) / opt_count, ps1.threads, self, busy - self - cpu, ms(&t_join, 50), ms(&t_join, 99),
           ms(&t_list, 50), ms(&t_list, 99), ms(&t_piece, 50), ms(&t_piece, 99), ms(&t_age, 50), ms(&t_age, 99), first_error);
    return 0;
}
