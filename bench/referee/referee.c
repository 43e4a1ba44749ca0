/*
 * referee - publishes and plays live streams at a server, cheaply, and judges what comes back and what it cost.
 *
 * One single-threaded epoll process that
 *   - publishes M RTMP streams in real time from an FLV file                     (--pub)
 *   - plays N streams over RTMP, HTTP (FLV, TS, fMP4), WebSocket-FLV or RTSP/TCP  (--play),
 *     the first three over TLS too
 *   - watches the server under test through /proc/PID                            (--pid)
 * and tells, for a steady window: bytes delivered, fairness between connections, join times, publish-to-play latency,
 * the server's CPU seconds for each GB and each publisher, and its memory for each viewer and each publisher.
 *
 * Why it is cheap: a player is parsed only until its first key frame. Then its socket leaves epoll and is drained by
 * recv(MSG_TRUNC), which frees the kernel's buffers without copying them, once every --tick milliseconds. The drains are
 * spread evenly over the tick. So the server's sends wake nobody up and nearly the whole machine is left to the server.
 * The first --probes connections stay in epoll and are parsed for the whole run: they measure latency and check that no
 * frame is missing.
 *
 * How latency is measured: the publisher remembers when it wrote each video frame; a probe recognises a frame by a hash of
 * its last 16 bytes, which survive every remuxing (FLV tag, RTMP chunks, RTP FU-A), so no time stamp has to be carried in
 * the stream. Works for RTMP, HTTP-FLV, WebSocket-FLV and RTSP.
 *
 * How memory is measured: resident size before the first publisher, before the first player, and at the window's end. With
 * --mark the server is told by SIGUSR1 when the last two of these are, so that it can say itself what it keeps.
 *
 * How TLS stays cheap: nothing is verified, and a player that is only drained is not decrypted. So what is counted of TLS
 * players is what the wire carries: the bytes of the records, of the probes too.
 *
 * Build: gcc -O2 -Wall -Wextra -o referee referee.c                                       Options: ./referee
 *        gcc -O2 -Wall -Wextra -DTLS -o referee-tls referee.c -lssl -lcrypto              with rtmps://, https://, wss://
 *
 * Connect only to servers that you run yourself.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

#define PROGRAM "referee"
#include "common.h"

/* ------------------------------------------------------------------ */
/* Small helpers                                                       */
/* ------------------------------------------------------------------ */

/* A growable byte buffer. Consumed bytes are counted in `off`. */
struct buf {
    uint8_t *p;
    size_t off, len, cap;
};

static void buf_free(struct buf *b)
{
    free(b->p);
    memset(b, 0, sizeof *b);
}

static void buf_reserve(struct buf *b, size_t n)
{
    if (b->off && b->off == b->len)
        b->off = b->len = 0;
    if (b->cap - b->len >= n)
        return;
    if (b->off) { /* reclaim the consumed front first */
        memmove(b->p, b->p + b->off, b->len - b->off);
        b->len -= b->off;
        b->off = 0;
    }
    if (b->cap - b->len < n) {
        size_t cap = b->cap ? b->cap : 4096;
        while (cap - b->len < n)
            cap *= 2;
        b->p = xrealloc(b->p, cap);
        b->cap = cap;
    }
}

static void buf_add(struct buf *b, const void *p, size_t n)
{
    buf_reserve(b, n);
    memcpy(b->p + b->len, p, n);
    b->len += n;
}

static size_t buf_avail(const struct buf *b) { return b->len - b->off; }
static uint8_t *buf_data(const struct buf *b) { return b->p + b->off; }

static uint32_t be24(const uint8_t *p) { return (uint32_t)p[0] << 16 | p[1] << 8 | p[2]; }
static uint32_t be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]; }
static void put24(uint8_t *p, uint32_t v) { p[0] = v >> 16; p[1] = v >> 8; p[2] = v; }
static void put32(uint8_t *p, uint32_t v) { p[0] = v >> 24; p[1] = v >> 16; p[2] = v >> 8; p[3] = v; }

/* ------------------------------------------------------------------ */
/* Options                                                             */
/* ------------------------------------------------------------------ */

static const char *opt_play, *opt_pub, *opt_file, *opt_label = "", *opt_json;
static int opt_count, opt_pub_count = 1, opt_ramp = 400, opt_pid, opt_probes = 4;
static int opt_warmup = 3, opt_duration = 20, opt_tick = 100, opt_lead = 5;
static int opt_quiet, opt_mark, opt_chunk = 4096, opt_join_timeout = 20;

enum proto { P_RTMP, P_HTTP, P_WS, P_RTSP };

struct url {
    enum proto proto;
    int tls;
    char host[64];
    int port;
    char path[512]; /* with the leading slash */
    char app[256];  /* rtmp only */
    char name[256]; /* rtmp only: stream name with query */
    struct sockaddr_in sa;
};

static void parse_url(const char *s, struct url *u)
{
    static const struct {
        const char *scheme;
        enum proto proto;
        int tls, port;
    } schemes[] = {{"rtmp://", P_RTMP, 0, 1935}, {"rtmps://", P_RTMP, 1, 443}, {"http://", P_HTTP, 0, 80},
                   {"https://", P_HTTP, 1, 443}, {"ws://", P_WS, 0, 80},       {"wss://", P_WS, 1, 443},
                   {"rtsp://", P_RTSP, 0, 554},  {NULL, P_RTMP, 0, 0}};
    int k = 0;
    while (schemes[k].scheme && strncmp(s, schemes[k].scheme, strlen(schemes[k].scheme)))
        k++;
    if (!schemes[k].scheme)
        die("bad url %s (rtmp, http, ws, each with or without an s; or rtsp)", s);
    memset(u, 0, sizeof *u);
    u->proto = schemes[k].proto;
    u->tls = schemes[k].tls;
    u->port = schemes[k].port;
    s += strlen(schemes[k].scheme);
    size_t h = strcspn(s, ":/");
    if (!h || h >= sizeof u->host)
        die("bad host in url");
    memcpy(u->host, s, h);
    s += h;
    if (*s == ':')
        u->port = (int)strtol(s + 1, (char **)&s, 10);
    snprintf(u->path, sizeof u->path, "%s", *s ? s : "/");
    if (u->proto == P_RTMP) {
        char *slash = strchr(u->path + 1, '/');
        if (!slash)
            die("an rtmp url needs /app/stream");
        snprintf(u->app, sizeof u->app, "%.*s", (int)(slash - u->path - 1), u->path + 1);
        snprintf(u->name, sizeof u->name, "%s", slash + 1);
    }
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *ai;
    if (getaddrinfo(u->host, NULL, &hints, &ai))
        die("cannot resolve %s", u->host);
    memcpy(&u->sa, ai->ai_addr, sizeof u->sa);
    u->sa.sin_port = htons((uint16_t)u->port);
    freeaddrinfo(ai);
}

/* Puts the stream's number in place of a "%d" in the url, if it has one. */
static void expand_url(const char *tmpl, int i, char *out, size_t n)
{
    const char *d = strstr(tmpl, "%d");
    if (d)
        snprintf(out, n, "%.*s%d%s", (int)(d - tmpl), tmpl, i, d + 2);
    else
        snprintf(out, n, "%s", tmpl);
}

/* ------------------------------------------------------------------ */
/* The clip: FLV tags prepared for publishing                          */
/* ------------------------------------------------------------------ */

struct tag {
    uint8_t type; /* 8 audio, 9 video, 18 script */
    uint32_t ts;  /* ms from the clip's start */
    uint32_t len;
    uint8_t *data;
    int is_frame;  /* a coded video frame (not the sequence header) */
    int is_header; /* script data or a codec's sequence header: sent once */
    uint64_t hash; /* of the last 16 bytes of a video frame */
    usec_t sent;   /* when publisher 0 last wrote this frame */
};

static struct tag *tags;
static int ntags;
static uint32_t clip_ms; /* duration of one loop */

static uint64_t tail_hash(const uint8_t *p, size_t n)
{
    uint64_t a, b;
    if (n < 16)
        return 0;
    memcpy(&a, p + n - 16, 8);
    memcpy(&b, p + n - 8, 8);
    a ^= b * 0x9E3779B97F4A7C15ull;
    a ^= a >> 29;
    a *= 0xBF58476D1CE4E5B9ull;
    return a ^ a >> 32;
}

/* Open-addressing index from tail hash to tag. */
static int *hidx;
static uint32_t hmask;

static void index_tags(void)
{
    uint32_t cap = 64;
    while (cap < (uint32_t)ntags * 4)
        cap *= 2;
    hmask = cap - 1;
    hidx = xrealloc(NULL, cap * sizeof *hidx);
    for (uint32_t i = 0; i < cap; i++)
        hidx[i] = -1;
    for (int i = 0; i < ntags; i++) {
        if (!tags[i].is_frame)
            continue;
        uint32_t h = (uint32_t)tags[i].hash & hmask;
        while (hidx[h] >= 0)
            h = (h + 1) & hmask;
        hidx[h] = i;
    }
}

static struct tag *find_tag(uint64_t hash)
{
    if (!hidx)
        return NULL;
    for (uint32_t h = (uint32_t)hash & hmask; hidx[h] >= 0; h = (h + 1) & hmask)
        if (tags[hidx[h]].hash == hash)
            return &tags[hidx[h]];
    return NULL;
}

static void load_flv(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        die("cannot open %s", path);
    uint8_t h[13];
    if (fread(h, 1, 13, f) != 13 || memcmp(h, "FLV", 3))
        die("%s is not an FLV file", path);
    int cap = 0, last_video = -1;
    uint32_t step = 40;
    for (;;) {
        uint8_t th[11], prev[4];
        if (fread(th, 1, 11, f) != 11)
            break;
        struct tag t = {.type = th[0] & 0x1f, .len = be24(th + 1),
                        .ts = be24(th + 4) | (uint32_t)th[7] << 24};
        t.data = xrealloc(NULL, t.len);
        if (fread(t.data, 1, t.len, f) != t.len || fread(prev, 1, 4, f) != 4) {
            free(t.data);
            break;
        }
        if (t.type == 18) {
            t.is_header = 1;
        } else if (t.type == 9 && t.len > 5) {
            /* AVC/HEVC in the classic layout: byte 1 is 0 header, 1 frame, 2 end */
            if (t.data[1] == 2) {
                free(t.data);
                continue;
            }
            t.is_header = t.data[1] == 0;
            t.is_frame = !t.is_header;
            if (t.is_frame)
                t.hash = tail_hash(t.data, t.len);
        } else if (t.type == 8 && t.len > 1) {
            t.is_header = (t.data[0] >> 4) == 10 && t.data[1] == 0;
        } else {
            free(t.data);
            continue;
        }
        if (ntags == cap) {
            cap = cap ? cap * 2 : 1024;
            tags = xrealloc(tags, (size_t)cap * sizeof *tags);
        }
        if (t.is_frame) {
            if (last_video >= 0)
                step = t.ts - tags[last_video].ts;
            last_video = ntags;
        }
        tags[ntags++] = t;
    }
    fclose(f);
    if (last_video < 0)
        die("%s has no video", path);
    clip_ms = tags[last_video].ts + step;
    /* Cut what overhangs (audio past the last frame) so that loops join well. */
    while (ntags && tags[ntags - 1].ts >= clip_ms)
        ntags--;
    index_tags();
}

/* ------------------------------------------------------------------ */
/* Connections                                                         */
/* ------------------------------------------------------------------ */

enum state {
    ST_NEW,
    ST_CONNECTING,
    ST_TLS,          /* the handshake */
    ST_RTMP_HS,      /* waiting for S0 S1 S2 */
    ST_RTMP_CONNECT, /* connect sent */
    ST_RTMP_CREATE,  /* createStream sent */
    ST_RTMP_START,   /* play or publish sent */
    ST_HTTP_HEAD,
    ST_RTSP_OPTIONS,
    ST_RTSP_DESCRIBE,
    ST_RTSP_SETUP,
    ST_RTSP_PLAY,
    ST_LIVE, /* accepted; still parsed */
    ST_DRAIN, /* accepted; bytes are only counted */
    ST_DEAD,
};

struct chunk_stream {
    uint32_t csid, ts, len, type, sid, got;
    int ext;
    struct buf msg;
};

struct conn {
    int fd, idx, publisher, probe;
    enum state st;
    int want_out;
    const struct url *u;
    struct buf in, out;
#ifdef TLS
    SSL *ssl; /* until the player is only drained */
#endif

    /* what is measured */
    uint64_t bytes, base; /* received in all, with TLS the records; at the window's start */
    usec_t t_start, t_conn, t_first, t_frame, t_key; /* t_key: first key frame */
    uint64_t frames, frames_base;

    /* rtmp */
    struct chunk_stream *cs;
    int ncs, sent_c2;
    uint32_t in_chunk, ack_window, stream_id;
    uint64_t got, acked; /* received without TLS: what RTMP acknowledges */

    /* rtmp publisher */
    int cur;
    uint32_t loop;
    usec_t epoch;
    uint64_t late;

    /* http */
    int chunked, flv;
    long chunk_left; /* -1: in a size line; -2: in the CRLF after a chunk */
    char chunk_line[32];
    int chunk_line_n;
    struct buf flvb; /* de-chunked FLV bytes of a parsed player */
    int flv_head_done;

    /* rtsp */
    int cseq, ntracks, cur_track, video_track, hevc, key_seen;
    char control[4][512], session[128], base_url[512];
    usec_t next_keepalive;
};

static int ep;
static struct conn *players, *pubs;
static int nstarted, npubs_live, nplay_live, ndead, npub_dead, nfailed_join;
static uint64_t total_bytes, pub_bytes, pub_frames;
static int in_window;
static struct samples lat, join_conn, join_byte, join_frame, join_key;
static char first_error[256];

static struct conn **drain; /* the connections in ST_DRAIN */
static int ndrain;
static double drain_debt;

/* ------------------------------------------------------------------ */
/* TLS                                                                 */
/* ------------------------------------------------------------------ */

static void conn_fail(struct conn *c, const char *why);
static void conn_open(struct conn *c);
static void set_events(struct conn *c);

#ifdef TLS

static SSL_CTX *tls_context(void)
{
    static SSL_CTX *ctx;
    if (!ctx) {
        ctx = SSL_CTX_new(TLS_client_method());
        if (!ctx)
            die("cannot set up TLS");
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* each player is a new one: nothing is resumed */
        SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    }
    return ctx;
}

/* Goes on with the handshake. After it the protocol begins. */
static void tls_step(struct conn *c)
{
    if (!c->ssl) {
        c->ssl = SSL_new(tls_context());
        if (!c->ssl || !SSL_set_fd(c->ssl, c->fd))
            die("cannot set up a TLS connection");
        SSL_set_connect_state(c->ssl);
        c->st = ST_TLS;
    }
    ERR_clear_error();
    int r = SSL_do_handshake(c->ssl), e = SSL_get_error(c->ssl, r);
    if (r == 1) {
        conn_open(c);
    } else if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
        const char *why = ERR_reason_error_string(ERR_get_error());
        conn_fail(c, why ? why : "closed in the TLS handshake");
    } else if (c->want_out != (e == SSL_ERROR_WANT_WRITE)) {
        c->want_out = !c->want_out;
        set_events(c);
    }
}

/* Gives the result of an SSL_read or SSL_write the form that recv() and send() have. */
static ssize_t tls_result(struct conn *c, int r)
{
    if (r > 0)
        return r;
    switch (SSL_get_error(c->ssl, r)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        if (!errno)
            errno = EPROTO;
        return -1;
    }
}

static void tls_free(struct conn *c)
{
    SSL_free(c->ssl); /* sends nothing, leaves the socket open */
    c->ssl = NULL;
}

static ssize_t conn_send(struct conn *c, const void *p, size_t n)
{
    if (!c->u->tls)
        return send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    ERR_clear_error();
    errno = 0;
    return tls_result(c, SSL_write(c->ssl, p, (int)n));
}

/* Receives and counts. With TLS, never more than a record at a time. */
static ssize_t conn_recv(struct conn *c, void *p, size_t n)
{
    ssize_t r;
    if (!c->u->tls) {
        r = recv(c->fd, p, n, MSG_DONTWAIT);
        if (r > 0)
            c->bytes += (uint64_t)r;
    } else {
        ERR_clear_error();
        errno = 0;
        r = tls_result(c, SSL_read(c->ssl, p, (int)n));
        c->bytes = BIO_number_read(SSL_get_rbio(c->ssl));
    }
    if (r > 0)
        c->got += (uint64_t)r;
    return r;
}

#else

static void tls_step(struct conn *c)
{
    (void)c;
    die("built without TLS: gcc -DTLS ... -lssl -lcrypto");
}

static void tls_free(struct conn *c) { (void)c; }

static ssize_t conn_send(struct conn *c, const void *p, size_t n)
{
    return send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t conn_recv(struct conn *c, void *p, size_t n)
{
    ssize_t r = recv(c->fd, p, n, MSG_DONTWAIT);
    if (r > 0) {
        c->bytes += (uint64_t)r;
        c->got += (uint64_t)r;
    }
    return r;
}

#endif

/* ------------------------------------------------------------------ */
/* What is common to all connections                                   */
/* ------------------------------------------------------------------ */

static void conn_fail(struct conn *c, const char *why)
{
    if (c->st == ST_DEAD)
        return;
    if (!first_error[0])
        snprintf(first_error, sizeof first_error, "%s %d: %s (state %d)",
                 c->publisher ? "publisher" : "player", c->idx, why, c->st);
    if (c->publisher) {
        npub_dead++;
        if (c->st == ST_LIVE)
            npubs_live--;
    } else {
        ndead++;
        if (c->st == ST_LIVE || c->st == ST_DRAIN)
            nplay_live--;
        else
            nfailed_join++;
    }
    c->st = ST_DEAD;
    tls_free(c);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_free(&c->in);
    buf_free(&c->out);
    buf_free(&c->flvb);
    for (int i = 0; i < c->ncs; i++)
        buf_free(&c->cs[i].msg);
    free(c->cs);
    c->cs = NULL;
    c->ncs = 0;
}

static void set_events(struct conn *c)
{
    struct epoll_event e = {.events = EPOLLIN | (c->want_out ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e) < 0)
        conn_fail(c, "epoll_ctl");
}

static void flush_out(struct conn *c)
{
    while (c->st != ST_DEAD && buf_avail(&c->out)) {
        ssize_t n = conn_send(c, buf_data(&c->out), buf_avail(&c->out));
        if (n > 0) {
            c->out.off += (size_t)n;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN) {
            break;
        } else {
            conn_fail(c, strerror(errno));
            return;
        }
    }
    int want = buf_avail(&c->out) > 0;
    if (want != c->want_out && c->st != ST_DRAIN && c->st != ST_DEAD) {
        c->want_out = want;
        set_events(c);
    }
}

/* The player got its first key frame: from now on only count its bytes, and of TLS those of the records. */
static void enter_drain(struct conn *c)
{
    epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
    tls_free(c);
    c->st = ST_DRAIN;
    c->next_keepalive = now_us() + 20000000;
    buf_free(&c->in);
    buf_free(&c->flvb);
    for (int i = 0; i < c->ncs; i++)
        buf_free(&c->cs[i].msg);
    free(c->cs);
    c->cs = NULL;
    c->ncs = 0;
    drain[ndrain++] = c;
}

static void mark_accepted(struct conn *c)
{
    c->st = ST_LIVE;
    if (c->publisher)
        npubs_live++;
    else
        nplay_live++;
}

/* Called with each first media byte and with each complete video frame. */
static void on_media_byte(struct conn *c)
{
    if (!c->t_first)
        c->t_first = now_us();
}

static void on_video_frame(struct conn *c, const uint8_t *p, size_t n, int key)
{
    usec_t t = now_us();
    if (!c->t_frame)
        c->t_frame = t;
    if (key && !c->t_key)
        c->t_key = t;
    c->frames++;
    if (c->probe && in_window) {
        struct tag *g = find_tag(tail_hash(p, n));
        if (g && g->sent)
            sample_add(&lat, t - g->sent);
    }
}

/* ------------------------------------------------------------------ */
/* RTMP                                                                */
/* ------------------------------------------------------------------ */

static uint8_t *amf_str(uint8_t *p, const char *s)
{
    size_t n = strlen(s);
    *p++ = 2; *p++ = (uint8_t)(n >> 8); *p++ = (uint8_t)n;
    memcpy(p, s, n);
    return p + n;
}

static uint8_t *amf_num(uint8_t *p, double d)
{
    uint64_t v;
    memcpy(&v, &d, 8);
    *p++ = 0;
    for (int i = 7; i >= 0; i--)
        *p++ = (uint8_t)(v >> (8 * i));
    return p;
}

static uint8_t *amf_key(uint8_t *p, const char *s)
{
    size_t n = strlen(s);
    *p++ = (uint8_t)(n >> 8); *p++ = (uint8_t)n;
    memcpy(p, s, n);
    return p + n;
}

/* Appends one RTMP message, cut into chunks of `chunk` bytes. */
static void rtmp_put(struct buf *b, uint32_t csid, uint32_t type, uint32_t sid, uint32_t ts,
                     const uint8_t *p, uint32_t n, uint32_t chunk)
{
    uint8_t h[16];
    int ext = ts >= 0xffffff;
    h[0] = (uint8_t)csid;
    put24(h + 1, ext ? 0xffffff : ts);
    put24(h + 4, n);
    h[7] = (uint8_t)type;
    h[8] = (uint8_t)sid; h[9] = (uint8_t)(sid >> 8); h[10] = (uint8_t)(sid >> 16); h[11] = (uint8_t)(sid >> 24);
    if (ext)
        put32(h + 12, ts);
    buf_reserve(b, n + 16 + (n / chunk + 1) * 5);
    buf_add(b, h, ext ? 16 : 12);
    for (uint32_t o = 0;;) {
        uint32_t m = n - o < chunk ? n - o : chunk;
        buf_add(b, p + o, m);
        o += m;
        if (o >= n)
            break;
        h[0] = (uint8_t)(0xc0 | csid);
        if (ext)
            put32(h + 1, ts);
        buf_add(b, h, ext ? 5 : 1);
    }
}

static void rtmp_cmd(struct conn *c, uint32_t sid, const uint8_t *p, const uint8_t *end)
{
    /* 128 is the chunk size until SetChunkSize; publishers raise theirs first */
    rtmp_put(&c->out, 3, 20, sid, 0, p, (uint32_t)(end - p), c->publisher ? (uint32_t)opt_chunk : 128);
}

static void rtmp_send_connect(struct conn *c)
{
    uint8_t b[2048], *p = b, four[4];
    char tc[512];
    snprintf(tc, sizeof tc, "rtmp://%.60s:%d/%.250s", c->u->host, c->u->port, c->u->app);
    if (c->publisher) {
        put32(four, (uint32_t)opt_chunk);
        rtmp_put(&c->out, 2, 1, 0, 0, four, 4, 128);
    }
    p = amf_str(p, "connect");
    p = amf_num(p, 1);
    *p++ = 3;
    p = amf_key(p, "app"); p = amf_str(p, c->u->app);
    p = amf_key(p, "flashVer"); p = amf_str(p, c->publisher ? "FMLE/3.0 (compatible; vigil-bench)" : "LNX 9,0,124,2");
    p = amf_key(p, "tcUrl"); p = amf_str(p, tc);
    if (c->publisher) {
        p = amf_key(p, "type"); p = amf_str(p, "nonprivate");
    } else {
        p = amf_key(p, "fpad"); *p++ = 1; *p++ = 0;
        p = amf_key(p, "capabilities"); p = amf_num(p, 15);
        p = amf_key(p, "audioCodecs"); p = amf_num(p, 4071);
        p = amf_key(p, "videoCodecs"); p = amf_num(p, 252);
        p = amf_key(p, "videoFunction"); p = amf_num(p, 1);
    }
    *p++ = 0; *p++ = 0; *p++ = 9;
    rtmp_cmd(c, 0, b, p);
    c->st = ST_RTMP_CONNECT;
}

static void rtmp_send_create(struct conn *c)
{
    uint8_t b[1024], *p;
    if (c->publisher) {
        p = amf_num(amf_str(b, "releaseStream"), 2); *p++ = 5; p = amf_str(p, c->u->name);
        rtmp_cmd(c, 0, b, p);
        p = amf_num(amf_str(b, "FCPublish"), 3); *p++ = 5; p = amf_str(p, c->u->name);
        rtmp_cmd(c, 0, b, p);
    } else {
        uint8_t w[4];
        put32(w, 2500000);
        rtmp_put(&c->out, 2, 5, 0, 0, w, 4, 128);
    }
    p = amf_num(amf_str(b, "createStream"), 4); *p++ = 5;
    rtmp_cmd(c, 0, b, p);
    c->st = ST_RTMP_CREATE;
}

static void rtmp_send_start(struct conn *c)
{
    uint8_t b[1024], *p;
    if (c->publisher) {
        p = amf_num(amf_str(b, "publish"), 5); *p++ = 5;
        p = amf_str(p, c->u->name);
        p = amf_str(p, "live");
        rtmp_cmd(c, c->stream_id, b, p);
    } else {
        p = amf_num(amf_str(b, "play"), 5); *p++ = 5;
        p = amf_str(p, c->u->name);
        p = amf_num(p, -2000);
        rtmp_cmd(c, c->stream_id, b, p);
        uint8_t u[10] = {0, 3}; /* SetBufferLength 3000 ms */
        put32(u + 2, c->stream_id);
        put32(u + 6, 3000);
        rtmp_put(&c->out, 2, 4, 0, 0, u, 10, 128);
    }
    c->st = ST_RTMP_START;
}

/* Reads name and transaction number of a command; returns the rest or NULL. */
static const uint8_t *amf_command(const uint8_t *p, size_t n, char *name, size_t cap, double *txn)
{
    const uint8_t *end = p + n;
    if (n < 3 || p[0] != 2)
        return NULL;
    size_t l = (size_t)p[1] << 8 | p[2];
    p += 3;
    if ((size_t)(end - p) < l + 9 || l >= cap || p[l] != 0)
        return NULL;
    memcpy(name, p, l);
    name[l] = 0;
    p += l + 1;
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    memcpy(txn, &v, 8);
    return p + 8;
}

static void pub_begin(struct conn *c);

static void rtmp_command(struct conn *c, const uint8_t *p, size_t n)
{
    char name[64];
    double txn;
    const uint8_t *q = amf_command(p, n, name, sizeof name, &txn), *end = p + n;
    if (!q)
        return;
    if (!strcmp(name, "_error") && txn != 2 && txn != 3) {
        conn_fail(c, "rtmp _error");
    } else if (!strcmp(name, "_result") && c->st == ST_RTMP_CONNECT && txn == 1) {
        rtmp_send_create(c);
    } else if (!strcmp(name, "_result") && c->st == ST_RTMP_CREATE && txn == 4) {
        double sid = 1;
        if (end - q >= 10 && q[0] == 5 && q[1] == 0) {
            uint64_t v = 0;
            for (int i = 0; i < 8; i++)
                v = v << 8 | q[2 + i];
            memcpy(&sid, &v, 8);
        }
        c->stream_id = (uint32_t)sid;
        rtmp_send_start(c);
    } else if (!strcmp(name, "onStatus")) {
        if (memmem(p, n, "NetStream.Publish.Start", 23) && c->publisher && c->st == ST_RTMP_START) {
            mark_accepted(c);
            pub_begin(c);
        } else if (memmem(p, n, "NetStream.Play.Start", 20) && !c->publisher && c->st == ST_RTMP_START) {
            mark_accepted(c);
        } else if (memmem(p, n, "error", 5)) {
            conn_fail(c, "onStatus error");
        }
    }
}

static void rtmp_message(struct conn *c, struct chunk_stream *s)
{
    const uint8_t *p = buf_data(&s->msg);
    size_t n = buf_avail(&s->msg);
    switch (s->type) {
    case 1:
        if (n >= 4)
            c->in_chunk = be32(p) & 0x7fffffff;
        if (c->in_chunk < 1 || c->in_chunk > 1 << 24)
            conn_fail(c, "bad chunk size");
        break;
    case 5:
        if (n >= 4)
            c->ack_window = be32(p);
        break;
    case 4:
        if (n >= 6 && p[0] == 0 && p[1] == 6) { /* ping request */
            uint8_t r[6] = {0, 7, p[2], p[3], p[4], p[5]};
            rtmp_put(&c->out, 2, 4, 0, 0, r, 6, 128);
        }
        break;
    case 20:
        rtmp_command(c, p, n);
        break;
    case 17:
        if (n > 1)
            rtmp_command(c, p + 1, n - 1);
        break;
    case 8:
    case 9:
        if (c->publisher)
            break;
        if (c->st == ST_RTMP_START) /* some servers send media before onStatus */
            mark_accepted(c);
        on_media_byte(c);
        if (s->type == 9 && n > 5 && p[1] == 1)
            on_video_frame(c, p, n, p[0] >> 4 == 1);
        break;
    }
}

static void rtmp_parse(struct conn *c)
{
    if (c->st == ST_RTMP_HS) {
        if (!c->sent_c2) {
            if (buf_avail(&c->in) < 1537)
                return;
            buf_add(&c->out, buf_data(&c->in) + 1, 1536); /* C2 echoes S1 */
            c->sent_c2 = 1;
        }
        if (buf_avail(&c->in) < 3073)
            return;
        c->in.off += 3073;
        rtmp_send_connect(c);
    }
    while (c->st != ST_DEAD && buf_avail(&c->in)) {
        const uint8_t *p = buf_data(&c->in);
        size_t n = buf_avail(&c->in), o = 1;
        uint32_t fmt = p[0] >> 6, csid = p[0] & 0x3f;
        if (csid == 0) {
            if (n < 2) return;
            csid = 64 + p[1]; o = 2;
        } else if (csid == 1) {
            if (n < 3) return;
            csid = 64 + p[1] + 256u * p[2]; o = 3;
        }
        static const uint8_t mh[4] = {11, 7, 3, 0};
        if (n < o + mh[fmt])
            return;
        struct chunk_stream *s = NULL;
        for (int i = 0; i < c->ncs; i++)
            if (c->cs[i].csid == csid)
                s = &c->cs[i];
        if (!s) {
            if (c->ncs >= 64) {
                conn_fail(c, "too many chunk streams");
                return;
            }
            c->cs = xrealloc(c->cs, (size_t)(c->ncs + 1) * sizeof *c->cs);
            s = &c->cs[c->ncs++];
            memset(s, 0, sizeof *s);
            s->csid = csid;
        }
        const uint8_t *h = p + o;
        uint32_t len = s->len, type = s->type;
        int ext = s->ext;
        if (fmt <= 2)
            ext = be24(h) == 0xffffff;
        if (fmt <= 1) {
            len = be24(h + 3);
            type = h[6];
        }
        o += mh[fmt];
        if (ext) {
            if (n < o + 4) return;
            o += 4;
        }
        if (len > 16u << 20) {
            conn_fail(c, "rtmp message over 16 MiB");
            return;
        }
        uint32_t got = fmt == 3 ? s->got : 0;
        uint32_t m = len - got < c->in_chunk ? len - got : c->in_chunk;
        if (n < o + m)
            return;
        s->ext = ext;
        s->len = len;
        s->type = type;
        if (!got)
            s->msg.off = s->msg.len = 0;
        buf_add(&s->msg, p + o, m);
        s->got = got + m;
        c->in.off += o + m;
        if (s->got >= s->len) {
            s->got = 0;
            rtmp_message(c, s);
        }
    }
}

static void rtmp_ack(struct conn *c)
{
    if (!c->ack_window || c->got - c->acked < c->ack_window / 2)
        return;
    c->acked = c->got;
    uint8_t h[16] = {2, 0, 0, 0, 0, 0, 4, 3};
    put32(h + 12, (uint32_t)c->got);
    if (c->st == ST_DRAIN) {
        /* outside of epoll: a full socket just loses this acknowledgement */
        if (send(c->fd, h, 16, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
            conn_fail(c, strerror(errno));
    } else {
        buf_add(&c->out, h, 16);
    }
}

/* ---------------- publisher ---------------- */

static void pub_send_tag(struct conn *c, struct tag *t, uint32_t ts)
{
    static const uint8_t sdf[] = {2, 0, 13, '@', 's', 'e', 't', 'D', 'a', 't', 'a', 'F', 'r', 'a', 'm', 'e'};
    if (t->type == 18) {
        struct buf m = {0};
        buf_add(&m, sdf, sizeof sdf);
        buf_add(&m, t->data, t->len);
        rtmp_put(&c->out, 4, 18, c->stream_id, ts, m.p, (uint32_t)m.len, (uint32_t)opt_chunk);
        buf_free(&m);
    } else {
        rtmp_put(&c->out, t->type == 9 ? 6 : 4, t->type, c->stream_id, ts, t->data, t->len, (uint32_t)opt_chunk);
    }
    pub_bytes += t->len;
    if (c->idx == 0 && t->is_frame) {
        pub_frames++;
        t->sent = now_us();
    }
}

static void pub_begin(struct conn *c)
{
    for (int i = 0; i < ntags; i++)
        if (tags[i].is_header)
            pub_send_tag(c, &tags[i], 0);
    /* spread the publishers' frames over the frame interval */
    c->epoch = now_us() + (usec_t)(c->idx % 40) * 1000;
    c->cur = 0;
    c->loop = 0;
}

/* Writes the tags that are due; returns when the next one will be. */
static usec_t pub_run(struct conn *c, usec_t now)
{
    for (;;) {
        struct tag *t = &tags[c->cur];
        uint32_t ts = t->ts + c->loop * clip_ms;
        usec_t due = c->epoch + (usec_t)ts * 1000;
        if (due > now) {
            flush_out(c);
            return due;
        }
        if (!t->is_header) {
            if (buf_avail(&c->out) > 8u << 20) { /* the server does not read: count, drop */
                c->late++;
            } else {
                if (now - due > 1000000)
                    c->late++;
                pub_send_tag(c, t, ts);
                if (t->is_frame)
                    flush_out(c);
                if (c->st == ST_DEAD)
                    return now + 1000000;
            }
        }
        if (++c->cur == ntags) {
            c->cur = 0;
            c->loop++;
        }
    }
}

/* ------------------------------------------------------------------ */
/* HTTP                                                                */
/* ------------------------------------------------------------------ */

static void http_send(struct conn *c)
{
    char b[1024];
    int n = snprintf(b, sizeof b,
                     "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUser-Agent: vigil-bench\r\nAccept: */*\r\n%s\r\n",
                     c->u->path, c->u->host, c->u->port,
                     c->u->proto != P_WS ? "" : "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    buf_add(&c->out, b, (size_t)n);
    c->st = ST_HTTP_HEAD;
}

static void flv_parse(struct conn *c)
{
    struct buf *b = &c->flvb;
    if (!c->flv_head_done) {
        if (buf_avail(b) < 13)
            return;
        if (memcmp(buf_data(b), "FLV", 3)) {
            conn_fail(c, "not FLV");
            return;
        }
        b->off += 13;
        c->flv_head_done = 1;
    }
    while (buf_avail(b) >= 11) {
        const uint8_t *p = buf_data(b);
        uint32_t len = be24(p + 1);
        if (buf_avail(b) < len + 15u)
            return;
        if ((p[0] & 0x1f) == 9 && len > 5 && p[12] == 1)
            on_video_frame(c, p + 11, len, p[11] >> 4 == 1);
        b->off += len + 15;
    }
}

/* Takes body bytes of a parsed player through the chunked coding, if any. */
static void http_body(struct conn *c)
{
    while (c->st != ST_DEAD && buf_avail(&c->in)) {
        uint8_t *p = buf_data(&c->in);
        size_t n = buf_avail(&c->in);
        if (!c->chunked) {
            on_media_byte(c);
            if (c->flv)
                buf_add(&c->flvb, p, n);
            c->in.off += n;
        } else if (c->chunk_left > 0) {
            if (n > (size_t)c->chunk_left)
                n = (size_t)c->chunk_left;
            on_media_byte(c);
            if (c->flv)
                buf_add(&c->flvb, p, n);
            c->in.off += n;
            c->chunk_left -= (long)n;
            if (!c->chunk_left)
                c->chunk_left = -2;
        } else {
            char ch = (char)*p;
            c->in.off++;
            if (ch == '\n') {
                if (c->chunk_left == -2) {
                    c->chunk_left = -1;
                } else {
                    c->chunk_line[c->chunk_line_n] = 0;
                    c->chunk_left = strtol(c->chunk_line, NULL, 16);
                    c->chunk_line_n = 0;
                    if (c->chunk_left <= 0) {
                        conn_fail(c, "end of chunked body");
                        return;
                    }
                }
            } else if (c->chunk_left == -1 && ch != '\r' &&
                       c->chunk_line_n < (int)sizeof c->chunk_line - 1) {
                c->chunk_line[c->chunk_line_n++] = ch;
            }
        }
        if (c->flv)
            flv_parse(c);
        else if (c->t_first && !c->t_frame)
            c->t_frame = c->t_key = c->t_first; /* ts/fmp4: only the first body byte is looked at */
    }
}

/* Takes the payload out of the frames of a parsed WebSocket player. A server's frames are not masked (RFC 6455, 5.1). */
static void ws_body(struct conn *c)
{
    while (c->st != ST_DEAD && buf_avail(&c->in) >= 2) {
        const uint8_t *p = buf_data(&c->in);
        size_t n = buf_avail(&c->in), head = 2, len = p[1] & 0x7f;
        if (len >= 126) {
            size_t more = len == 126 ? 2 : 8;
            if (n < (head += more))
                return;
            for (len = 0; more > 0; more--)
                len = len << 8 | p[head - more];
        }
        if (p[1] & 0x80 || len > 16u << 20) {
            conn_fail(c, "bad WebSocket frame");
            return;
        }
        if (n < head + len)
            return;
        if ((p[0] & 15) == 8) {
            conn_fail(c, "WebSocket closed");
            return;
        }
        if ((p[0] & 15) <= 2) { /* media; pings need no answer here */
            on_media_byte(c);
            buf_add(&c->flvb, p + head, len);
            flv_parse(c);
        }
        c->in.off += head + len;
    }
}

static void http_parse(struct conn *c)
{
    if (c->st == ST_HTTP_HEAD) {
        uint8_t *p = buf_data(&c->in);
        size_t n = buf_avail(&c->in);
        uint8_t *e = memmem(p, n, "\r\n\r\n", 4);
        if (!e) {
            if (n > 32768)
                conn_fail(c, "http header too long");
            return;
        }
        e[2] = 0;
        if (n < 12 || strncmp((char *)p, "HTTP/1.", 7) || strncmp((char *)p + 9, c->u->proto == P_WS ? "101" : "200", 3)) {
            char w[64];
            snprintf(w, sizeof w, "http answer: %.12s", (char *)p);
            conn_fail(c, w);
            return;
        }
        c->chunked = strcasestr((char *)p, "\r\nTransfer-Encoding: chunked") != NULL;
        c->chunk_left = -1;
        c->flv = c->u->proto == P_WS || strstr(c->u->path, ".flv") != NULL;
        c->in.off += (size_t)(e + 4 - p);
        mark_accepted(c);
    }
    if (c->u->proto == P_WS)
        ws_body(c);
    else
        http_body(c);
}

/* ------------------------------------------------------------------ */
/* RTSP (interleaved TCP)                                              */
/* ------------------------------------------------------------------ */

static void rtsp_req(struct conn *c, const char *method, const char *url, const char *extra)
{
    char b[2048];
    int n = snprintf(b, sizeof b, "%s %s RTSP/1.0\r\nCSeq: %d\r\nUser-Agent: vigil-bench\r\n%s%s%s%s\r\n",
                     method, url, ++c->cseq, c->session[0] ? "Session: " : "", c->session,
                     c->session[0] ? "\r\n" : "", extra);
    buf_add(&c->out, b, (size_t)n);
}

static void rtsp_url(struct conn *c, char *out, size_t n)
{
    snprintf(out, n, "rtsp://%s:%d%s", c->u->host, c->u->port, c->u->path);
}

static void rtsp_setup_next(struct conn *c)
{
    char extra[128];
    snprintf(extra, sizeof extra, "Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d\r\n",
             c->cur_track * 2, c->cur_track * 2 + 1);
    rtsp_req(c, "SETUP", c->control[c->cur_track], extra);
    c->st = ST_RTSP_SETUP;
}

static int header_value(const char *head, const char *name, char *out, size_t cap)
{
    char key[64];
    snprintf(key, sizeof key, "\n%s:", name);
    const char *p = strcasestr(head, key);
    if (!p)
        return 0;
    p += strlen(key);
    while (*p == ' ')
        p++;
    snprintf(out, cap, "%.*s", (int)strcspn(p, "\r\n"), p);
    return 1;
}

static void rtsp_sdp(struct conn *c, const char *sdp)
{
    int cur = -1;
    c->video_track = -1;
    for (const char *l = sdp; *l;) {
        size_t n = strcspn(l, "\r\n");
        if (!strncmp(l, "m=", 2)) {
            cur = c->ntracks < 4 ? c->ntracks++ : -1;
            if (cur >= 0 && !strncmp(l, "m=video", 7) && c->video_track < 0)
                c->video_track = cur;
        } else if (!strncmp(l, "a=control:", 10) && cur >= 0) {
            if (!strncmp(l + 10, "rtsp://", 7))
                snprintf(c->control[cur], sizeof c->control[cur], "%.*s", (int)n - 10, l + 10);
            else
                snprintf(c->control[cur], sizeof c->control[cur], "%.380s/%.*s", c->base_url,
                         (int)(n - 10 > 120 ? 120 : n - 10), l + 10);
        }
        l += n;
        l += strspn(l, "\r\n");
    }
}

static void rtsp_response(struct conn *c, const char *head, const char *body)
{
    char v[512], url[600];
    if (strncmp(head, "RTSP/1.0 200", 12)) {
        snprintf(v, sizeof v, "rtsp answer: %.30s", head);
        conn_fail(c, v);
        return;
    }
    rtsp_url(c, url, sizeof url);
    switch (c->st) {
    case ST_RTSP_OPTIONS:
        rtsp_req(c, "DESCRIBE", url, "Accept: application/sdp\r\n");
        c->st = ST_RTSP_DESCRIBE;
        break;
    case ST_RTSP_DESCRIBE:
        if (header_value(head, "Content-Base", v, sizeof v))
            snprintf(c->base_url, sizeof c->base_url, "%.500s", v);
        else
            snprintf(c->base_url, sizeof c->base_url, "%.500s", url);
        for (size_t n = strlen(c->base_url); n && c->base_url[n - 1] == '/';)
            c->base_url[--n] = 0;
        rtsp_sdp(c, body);
        c->hevc = strcasestr(body, "H265/") != NULL;
        if (!c->ntracks) {
            conn_fail(c, "no track in the SDP");
            return;
        }
        rtsp_setup_next(c);
        break;
    case ST_RTSP_SETUP:
        if (header_value(head, "Session", v, sizeof v))
            snprintf(c->session, sizeof c->session, "%.*s", (int)strcspn(v, ";"), v);
        if (++c->cur_track < c->ntracks) {
            rtsp_setup_next(c);
        } else {
            rtsp_req(c, "PLAY", c->base_url, "Range: npt=0.000-\r\n");
            c->st = ST_RTSP_PLAY;
        }
        break;
    case ST_RTSP_PLAY:
        mark_accepted(c);
        break;
    default:
        break;
    }
}

/* Does this RTP packet carry (a piece of) an IDR picture of H.264 or H.265? */
static int rtp_has_key(const struct conn *c, const uint8_t *p, size_t n)
{
    size_t o = 12 + 4u * (p[0] & 15);
    if (p[0] & 0x10) {
        if (n < o + 4)
            return 0;
        o += 4 + 4u * ((size_t)p[o + 2] << 8 | p[o + 3]);
    }
    if (n < o + 4)
        return 0;
    const uint8_t *q = p + o, *end = p + n;
    if (c->hevc) {
        int t = q[0] >> 1 & 63;
        if (t == 49)
            t = q[2] & 63;
        if (t == 48) { /* an aggregation packet: each unit has a 2-byte size */
            for (q += 2; end - q >= 3; q += 2 + (q[0] << 8 | q[1]))
                if ((q[2] >> 1 & 63) >= 16 && (q[2] >> 1 & 63) <= 21)
                    return 1;
            return 0;
        }
        return t >= 16 && t <= 21;
    }
    int t = q[0] & 31;
    if (t == 28)
        return (q[1] & 31) == 5;
    if (t == 24) { /* STAP-A */
        for (q++; end - q >= 3; q += 2 + (q[0] << 8 | q[1]))
            if ((q[2] & 31) == 5)
                return 1;
        return 0;
    }
    return t == 5;
}

static void rtsp_parse(struct conn *c)
{
    while (c->st != ST_DEAD && buf_avail(&c->in) >= 4) {
        uint8_t *p = buf_data(&c->in);
        size_t n = buf_avail(&c->in);
        if (p[0] == '$') {
            size_t l = (size_t)p[2] << 8 | p[3];
            if (n < l + 4)
                return;
            on_media_byte(c);
            if (c->video_track >= 0 && p[1] == c->video_track * 2 && l > 12) {
                c->key_seen |= rtp_has_key(c, p + 4, l);
                if (p[5] & 0x80) { /* the marker: a frame's last packet */
                    on_video_frame(c, p + 4, l, c->key_seen);
                    c->key_seen = 0;
                }
            }
            c->in.off += l + 4;
            continue;
        }
        uint8_t *e = memmem(p, n, "\r\n\r\n", 4);
        if (!e) {
            if (n > 65536)
                conn_fail(c, "rtsp header too long");
            return;
        }
        char cl[32];
        e[2] = 0; /* cut the head for the string functions */
        size_t body = header_value((char *)p, "Content-Length", cl, sizeof cl) ? (size_t)atol(cl) : 0;
        size_t head = (size_t)(e + 4 - p);
        if (body > 65536) {
            conn_fail(c, "rtsp body too long");
            return;
        }
        if (n < head + body) {
            e[2] = '\r';
            return;
        }
        char *sdp = xcalloc(body + 1, 1);
        memcpy(sdp, p + head, body);
        if (!strncmp((char *)p, "RTSP/", 5))
            rtsp_response(c, (char *)p, sdp);
        free(sdp);
        c->in.off += head + body; /* harmless when the connection has just died */
        if (c->st == ST_DEAD)
            return;
    }
}

/* ------------------------------------------------------------------ */
/* Connection life                                                     */
/* ------------------------------------------------------------------ */

static void conn_start(struct conn *c)
{
    c->t_start = now_us();
    c->in_chunk = 128;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        conn_fail(c, strerror(errno));
        return;
    }
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->st = ST_CONNECTING;
    if (connect(c->fd, (const struct sockaddr *)&c->u->sa, sizeof c->u->sa) < 0 && errno != EINPROGRESS) {
        conn_fail(c, strerror(errno));
        return;
    }
    c->want_out = 1;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e) < 0)
        conn_fail(c, strerror(errno));
}

static void conn_connected(struct conn *c)
{
    int err = 0;
    socklen_t l = sizeof err;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &l);
    if (err) {
        conn_fail(c, strerror(err));
        return;
    }
    c->t_conn = now_us();
    if (c->u->tls)
        tls_step(c);
    else
        conn_open(c);
}

/* Says the protocol's first words. */
static void conn_open(struct conn *c)
{
    if (c->u->proto == P_RTMP) {
        uint8_t h[1537] = {3}; /* C0, then C1 of the simple handshake */
        for (int i = 9; i < 1537; i++)
            h[i] = (uint8_t)(i * 31 + c->idx);
        buf_add(&c->out, h, sizeof h);
        c->st = ST_RTMP_HS;
    } else if (c->u->proto == P_HTTP || c->u->proto == P_WS) {
        http_send(c);
    } else {
        char url[600];
        rtsp_url(c, url, sizeof url);
        rtsp_req(c, "OPTIONS", url, "");
        c->st = ST_RTSP_OPTIONS;
    }
    flush_out(c);
}

static char trash[4 << 20]; /* never touched: MSG_TRUNC copies nothing */

static void conn_drain(struct conn *c)
{
    ssize_t n = recv(c->fd, trash, sizeof trash, MSG_TRUNC | MSG_DONTWAIT);
    if (n > 0) {
        c->bytes += (uint64_t)n;
        total_bytes += (uint64_t)n;
        if (!c->u->tls) /* else nobody knows, and nothing is acknowledged any more */
            c->got += (uint64_t)n;
        if (c->u->proto == P_RTMP)
            rtmp_ack(c);
    } else if (n == 0) {
        conn_fail(c, "closed by the server");
    } else if (errno != EAGAIN && errno != EINTR) {
        conn_fail(c, strerror(errno));
    }
}

static void conn_readable(struct conn *c)
{
    if (c->publisher && c->st == ST_LIVE) { /* acknowledgements and the like */
        ssize_t n = recv(c->fd, trash, sizeof trash, MSG_TRUNC | MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            conn_fail(c, n ? strerror(errno) : "closed by the server");
        return;
    }
    for (int round = 0; round < 4; round++) {
        buf_reserve(&c->in, 65536); /* no less than a TLS record, so that OpenSSL never keeps any that epoll does not know of */
        size_t room = c->in.cap - c->in.len;
        uint64_t before = c->bytes;
        ssize_t n = conn_recv(c, c->in.p + c->in.len, room);
        if (!c->publisher)
            total_bytes += c->bytes - before;
        if (n == 0) {
            conn_fail(c, "closed by the server");
            return;
        }
        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR)
                conn_fail(c, strerror(errno));
            break;
        }
        c->in.len += (size_t)n;
        if (c->u->proto == P_RTMP)
            rtmp_parse(c);
        else if (c->u->proto == P_HTTP || c->u->proto == P_WS)
            http_parse(c);
        else
            rtsp_parse(c);
        if (c->st == ST_DEAD)
            return;
        if ((size_t)n < room && !c->u->tls)
            break;
    }
    if (c->st == ST_DEAD)
        return;
    if (c->u->proto == P_RTMP)
        rtmp_ack(c);
    flush_out(c);
    if (c->st == ST_LIVE && !c->publisher && !c->probe && c->t_key)
        enter_drain(c);
}

/* Drains `k` connections, going round. Dead ones leave the list. */
static void drain_some(int k, usec_t now)
{
    static int pos;
    for (; k > 0 && ndrain > 0; k--) {
        if (pos >= ndrain)
            pos = 0;
        struct conn *c = drain[pos];
        conn_drain(c);
        if (c->st != ST_DEAD && c->u->proto == P_RTSP && now >= c->next_keepalive) {
            char url[600];
            rtsp_url(c, url, sizeof url);
            rtsp_req(c, "OPTIONS", url, "");
            flush_out(c);
            c->next_keepalive = now + 20000000;
        }
        if (c->st == ST_DEAD)
            drain[pos] = drain[--ndrain];
        else
            pos++;
    }
}

/* ------------------------------------------------------------------ */
/* Main                                                                */
/* ------------------------------------------------------------------ */

static void usage(void)
{
    fputs("referee: load generator and judge for live streaming servers\n"
          "  --pub URL        publish rtmp://host:port/app/name in real time (%d: the publisher's number)\n"
          "  --file F         the FLV clip to publish in a loop\n"
          "  --pub-count M    publishers (1)\n"
          "  --chunk B        the publishers' RTMP chunk size (4096)\n"
          "  --play URL       play rtmp://, http://, ws://, rtsp://, or rtmps://, https://, wss:// if built with TLS\n"
          "                   (%d: player number modulo --pub-count)\n"
          "  --count N        players\n"
          "  --ramp R         new connections a second (400)\n"
          "  --lead S         seconds from the publishers' start to the first player (5)\n"
          "  --warmup S       seconds from the last join to the window (3)\n"
          "  --duration S     the window (20)\n"
          "  --join-timeout S give up waiting for joins (20)\n"
          "  --probes K       players parsed throughout, for latency and frame counts (4)\n"
          "  --tick MS        drain interval of the others (100)\n"
          "  --pid PID        the server whose CPU and memory are read\n"
          "  --mark           send it SIGUSR1 before the first player and after the window\n"
          "  --label TEXT --json FILE   append one JSON line with the result\n"
          "  --quiet          no line a second\n",
          stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    enum { O_PLAY = 1, O_COUNT, O_RAMP, O_PUB, O_FILE, O_PUBC, O_PID, O_WARM, O_DUR, O_PROBES,
           O_TICK, O_LEAD, O_LABEL, O_JSON, O_QUIET, O_CHUNK, O_JT, O_MARK };
    static const struct option lo[] = {
        {"play", 1, 0, O_PLAY}, {"count", 1, 0, O_COUNT}, {"ramp", 1, 0, O_RAMP}, {"pub", 1, 0, O_PUB},
        {"file", 1, 0, O_FILE}, {"pub-count", 1, 0, O_PUBC}, {"pid", 1, 0, O_PID}, {"warmup", 1, 0, O_WARM},
        {"duration", 1, 0, O_DUR}, {"probes", 1, 0, O_PROBES}, {"tick", 1, 0, O_TICK}, {"lead", 1, 0, O_LEAD},
        {"label", 1, 0, O_LABEL}, {"json", 1, 0, O_JSON}, {"quiet", 0, 0, O_QUIET}, {"chunk", 1, 0, O_CHUNK},
        {"join-timeout", 1, 0, O_JT}, {"mark", 0, 0, O_MARK}, {0, 0, 0, 0}};
    for (int o; (o = getopt_long(argc, argv, "", lo, NULL)) != -1;) {
        switch (o) {
        case O_PLAY: opt_play = optarg; break;
        case O_COUNT: opt_count = atoi(optarg); break;
        case O_RAMP: opt_ramp = atoi(optarg); break;
        case O_PUB: opt_pub = optarg; break;
        case O_FILE: opt_file = optarg; break;
        case O_PUBC: opt_pub_count = atoi(optarg); break;
        case O_PID: opt_pid = atoi(optarg); break;
        case O_WARM: opt_warmup = atoi(optarg); break;
        case O_DUR: opt_duration = atoi(optarg); break;
        case O_PROBES: opt_probes = atoi(optarg); break;
        case O_TICK: opt_tick = atoi(optarg); break;
        case O_LEAD: opt_lead = atoi(optarg); break;
        case O_LABEL: opt_label = optarg; break;
        case O_JSON: opt_json = optarg; break;
        case O_QUIET: opt_quiet = 1; break;
        case O_CHUNK: opt_chunk = atoi(optarg); break;
        case O_MARK: opt_mark = 1; break;
        case O_JT: opt_join_timeout = atoi(optarg); break;
        default: usage();
        }
    }
    if (!opt_pub && !opt_play)
        usage();
    if (opt_pub && !opt_file)
        die("--pub needs --file");
    if (!opt_pub)
        opt_pub_count = 0;
    if (!opt_play)
        opt_count = 0;
    if (opt_ramp < 1 || opt_chunk < 128 || opt_count < 0 || opt_duration < 1 || opt_tick < 1)
        usage();
    if (opt_file)
        load_flv(opt_file);

    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    if ((rlim_t)(opt_count + opt_pub_count + 32) > rl.rlim_cur)
        die("only %llu file descriptors allowed", (unsigned long long)rl.rlim_cur);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    setvbuf(stdout, NULL, _IOLBF, 0);

    ep = epoll_create1(EPOLL_CLOEXEC);
    players = xcalloc((size_t)opt_count, sizeof *players);
    pubs = xcalloc((size_t)opt_pub_count, sizeof *pubs);
    drain = xcalloc((size_t)opt_count, sizeof *drain);

    int nurl = opt_pub_count > 1 && opt_play && strstr(opt_play, "%d") ? opt_pub_count : 1;
    struct url *play_urls = xcalloc((size_t)nurl, sizeof *play_urls);
    struct url *pub_urls = xcalloc((size_t)opt_pub_count, sizeof *pub_urls);
    char tmp[1024];
    for (int i = 0; opt_play && i < nurl; i++) {
        expand_url(opt_play, i, tmp, sizeof tmp);
        parse_url(tmp, &play_urls[i]);
    }
    for (int i = 0; i < opt_pub_count; i++) {
        expand_url(opt_pub, i, tmp, sizeof tmp);
        parse_url(tmp, &pub_urls[i]);
        if (pub_urls[i].proto != P_RTMP || pub_urls[i].tls)
            die("--pub takes rtmp:// only");
        pubs[i].u = &pub_urls[i];
        pubs[i].idx = i;
        pubs[i].fd = -1;
        pubs[i].publisher = 1;
    }
    for (int i = 0; i < opt_count; i++) {
        players[i].u = &play_urls[i % nurl];
        players[i].idx = i;
        players[i].fd = -1;
        players[i].probe = i < opt_probes * nurl && i % nurl == 0; /* probes watch stream 0 */
    }

    /* Phases: publishers join; lead; players join; warm-up; window. */
    usec_t t0 = now_us(), t_lead = 0, t_joined = 0, t_win = 0, t_end = 0, t_join0 = 0;
    usec_t next_report = t0 + 1000000, last_slice = t0;
    int pubs_started = 0;
    uint64_t last_total = 0, win_total = 0, win_pub = 0, win_pub_frames = 0;
    double self0 = 0, busy0 = 0, self1 = 0, busy1 = 0;
    struct proc_stat psb = {0}, psl = {0}, ps0 = {0}, ps1 = {0}; /* before all, before players, window */
    int dead_at_win = 0, live_at_win = 0;
    long peak_rss = 0;
    read_proc(opt_pid, &psb);
    struct epoll_event ev[256];

    while (!stop) {
        usec_t now = now_us(), wake = now + 100000;

        /* new publishers: at most 100 a second */
        while (pubs_started < opt_pub_count && now - t0 >= (usec_t)pubs_started * 10000)
            conn_start(&pubs[pubs_started++]);
        if (pubs_started < opt_pub_count)
            wake = now + 5000;
        if (!t_lead && npubs_live + npub_dead >= opt_pub_count)
            t_lead = now + (opt_pub ? (usec_t)opt_lead * 1000000 : 0);
        if (!t_lead && now - t0 > (usec_t)opt_join_timeout * 1000000 + opt_pub_count * 10000)
            die("publishers did not start: %d of %d; %s", npubs_live, opt_pub_count, first_error);
        if (opt_pub && npub_dead == opt_pub_count)
            die("all publishers are gone: %s", first_error);

        /* frames that are due */
        for (int i = 0; i < pubs_started; i++)
            if (pubs[i].st == ST_LIVE) {
                usec_t d = pub_run(&pubs[i], now);
                if (d < wake)
                    wake = d;
            }

        /* new players */
        if (t_lead && now >= t_lead) {
            if (!t_join0) {
                read_proc(opt_pid, &psl);
                t_join0 = now + mark_server(opt_mark ? opt_pid : 0);
            }
            while (nstarted < opt_count && now - t_join0 >= (usec_t)nstarted * 1000000 / opt_ramp)
                conn_start(&players[nstarted++]);
            if (nstarted < opt_count && now + 2000 < wake)
                wake = now + 2000;
            if (!t_joined && nstarted == opt_count) {
                int ok = 0;
                for (int i = 0; i < opt_count; i++)
                    ok += players[i].t_key || players[i].st == ST_DEAD;
                if (ok == opt_count || now - t_join0 > (usec_t)opt_join_timeout * 1000000 +
                                                           (usec_t)opt_count * 1000000 / opt_ramp)
                    t_joined = now;
            }
        }

        /* the window */
        if (t_joined && !t_win && now >= t_joined + (usec_t)opt_warmup * 1000000) {
            /* drain all once so that both edges are alike */
            drain_some(ndrain, now);
            for (int i = 0; i < opt_count; i++) {
                players[i].base = players[i].bytes;
                players[i].frames_base = players[i].frames;
            }
            win_total = total_bytes;
            win_pub = pub_bytes;
            win_pub_frames = pub_frames;
            dead_at_win = ndead;
            live_at_win = nplay_live;
            t_win = now_us();
            read_proc(opt_pid, &ps0);
            self0 = self_cpu();
            busy0 = machine_busy();
            in_window = 1;
        }
        if (t_win && now >= t_win + (usec_t)opt_duration * 1000000) {
            read_proc(opt_pid, &ps1);
            self1 = self_cpu();
            busy1 = machine_busy();
            t_end = now_us();
            drain_some(ndrain, now);
            usleep((useconds_t)mark_server(opt_mark ? opt_pid : 0)); /* the players stay until the server has looked */
            break;
        }

        /* the cheap players: an even share of them each few milliseconds */
        if (ndrain) {
            drain_debt += (double)(now - last_slice) * ndrain / (opt_tick * 1000.0);
            int k = (int)drain_debt;
            if (k > ndrain)
                k = ndrain;
            drain_debt -= (int)drain_debt;
            drain_some(k, now);
            if (now + 2000 < wake)
                wake = now + 2000;
        }
        last_slice = now;

        if (now >= next_report) {
            struct proc_stat ps;
            if (read_proc(opt_pid, &ps) && ps.rss_kb > peak_rss)
                peak_rss = ps.rss_kb;
            if (opt_pid && kill(opt_pid, 0) < 0)
                die("the server (pid %d) is gone", opt_pid);
            if (!opt_quiet) {
                int64_t mn = INT64_MAX, mx = 0;
                for (int i = 0; i < opt_count; i++)
                    if (players[i].st == ST_LIVE || players[i].st == ST_DRAIN) {
                        int64_t b = (int64_t)(players[i].bytes - players[i].base);
                        if (b < mn) mn = b;
                        if (b > mx) mx = b;
                    }
                printf("%5.1fs pub %d/%d play %d/%d dead %d  %7.1f MB/s  total %8.1f MB  conn min %.2f max %.2f MB%s  rss %ld MB\n",
                       (double)(now - t0) / 1e6, npubs_live, opt_pub_count, nplay_live, opt_count, ndead,
                       (double)(total_bytes - last_total) / 1e6, (double)total_bytes / 1e6,
                       mn == INT64_MAX ? 0 : (double)mn / 1e6, (double)mx / 1e6,
                       in_window ? " (window)" : "", ps.rss_kb / 1024);
            }
            last_total = total_bytes;
            next_report += 1000000;
            if (next_report < now)
                next_report = now + 1000000;
        }
        if (next_report < wake)
            wake = next_report;

        usec_t left = wake - now_us();
        if (left < 0)
            left = 0;
        struct timespec to = {.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};
        int n = epoll_pwait2(ep, ev, 256, &to, NULL);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (c->st == ST_CONNECTING && (ev[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
                conn_connected(c);
            } else if (c->st == ST_TLS) {
                tls_step(c);
            } else if (c->st != ST_DEAD) {
                if (ev[i].events & EPOLLOUT)
                    flush_out(c);
                if (c->st != ST_DEAD && (ev[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
                    conn_readable(c);
            }
        }
    }
    if (!t_end) {
        fprintf(stderr, "referee: stopped before the window's end\n");
        return 1;
    }

    /* ---------------- result ---------------- */
    double secs = (double)(t_end - t_win) / 1e6;
    double cpu_u = ps1.user - ps0.user, cpu_s = ps1.sys - ps0.sys, cpu = cpu_u + cpu_s;
    double bytes = (double)(total_bytes - win_total), gb = bytes / 1e9;
    /* what one stream carried, as bytes of FLV tag payload */
    double pub_one = opt_pub_count ? (double)(pub_bytes - win_pub) / opt_pub_count : 0;
    uint64_t late = 0;
    for (int i = 0; i < opt_pub_count; i++)
        late += pubs[i].late;
    struct samples per = {0};
    double frames = 0;
    int nprobe = 0;
    for (int i = 0; i < opt_count; i++) {
        struct conn *c = &players[i];
        if (c->t_conn) sample_add(&join_conn, c->t_conn - c->t_start);
        if (c->t_first) sample_add(&join_byte, c->t_first - c->t_start);
        if (c->t_frame) sample_add(&join_frame, c->t_frame - c->t_start);
        if (c->t_key) sample_add(&join_key, c->t_key - c->t_start);
        sample_add(&per, c->st == ST_DEAD ? 0 : (int64_t)(c->bytes - c->base));
        if (c->probe && c->st != ST_DEAD) {
            frames += (double)(c->frames - c->frames_base);
            nprobe++;
        }
    }
    samples_sort(&per);
    samples_sort(&join_conn);
    samples_sort(&join_byte);
    samples_sort(&join_frame);
    samples_sort(&join_key);
    samples_sort(&lat);
    double ratio = pub_one && opt_count ? bytes / opt_count / pub_one : 0;
    double fratio = nprobe && pub_frames > win_pub_frames
                        ? frames / nprobe / (double)(pub_frames - win_pub_frames) : 0;
    double self = self1 - self0, busy = busy1 - busy0, others = busy - self - cpu;
    double ms_pub = opt_pub_count ? cpu / secs * 1000 / opt_pub_count : 0;
    double kb_viewer = opt_count ? (double)(ps1.rss_kb - psl.rss_kb) / opt_count : 0;
    double kb_pub = opt_pub_count ? (double)(psl.rss_kb - psb.rss_kb) / opt_pub_count : 0;
    if (!opt_count && opt_pub_count)
        kb_pub = (double)(ps1.rss_kb - psb.rss_kb) / opt_pub_count;
    if (ps1.rss_kb > peak_rss)
        peak_rss = ps1.rss_kb;

    printf("\n== %s ==\n", opt_label);
    printf("window %.1f s, publishers %d, players asked %d, live at start %d, died in window %d, failed joins %d%s%s\n",
           secs, opt_pub_count, opt_count, live_at_win, ndead - dead_at_win, nfailed_join,
           first_error[0] ? "; first error: " : "", first_error);
    printf("delivered %.1f MB (%.1f MB/s, %.1f Mbit/s a player); %.1f%% of the published payload; probe frames %.1f%%; publisher late %llu\n",
           bytes / 1e6, bytes / 1e6 / secs, opt_count ? bytes * 8 / 1e6 / secs / opt_count : 0, ratio * 100,
           fratio * 100, (unsigned long long)late);
    printf("per connection in window: min %.2f median %.2f max %.2f MB\n", (double)pct(&per, 0) / 1e6,
           (double)pct(&per, 50) / 1e6, (double)pct(&per, 100) / 1e6);
    printf("join ms: connect p50 %.1f p99 %.1f | first media byte p50 %.1f p99 %.1f | first frame p50 %.1f p99 %.1f max %.1f | key frame p50 %.1f p99 %.1f\n",
           (double)pct(&join_conn, 50) / 1e3, (double)pct(&join_conn, 99) / 1e3, (double)pct(&join_byte, 50) / 1e3,
           (double)pct(&join_byte, 99) / 1e3, (double)pct(&join_frame, 50) / 1e3, (double)pct(&join_frame, 99) / 1e3,
           (double)pct(&join_frame, 100) / 1e3, (double)pct(&join_key, 50) / 1e3, (double)pct(&join_key, 99) / 1e3);
    printf("latency ms (%zu frames): p50 %.2f p90 %.2f p99 %.2f max %.2f\n", lat.n, (double)pct(&lat, 50) / 1e3,
           (double)pct(&lat, 90) / 1e3, (double)pct(&lat, 99) / 1e3, (double)pct(&lat, 100) / 1e3);
    printf("server cpu %.2f s (user %.2f sys %.2f) = %.1f%% of a core; %.3f cpu-s/GB; %.2f cpu ms/s a publisher; %ld threads\n",
           cpu, cpu_u, cpu_s, cpu / secs * 100, gb > 0 ? cpu / gb : 0, ms_pub, ps1.threads);
    printf("server rss MB: start %.1f before players %.1f window %.1f end %.1f peak %.1f; %.1f KB a viewer, %.1f KB a publisher\n",
           (double)psb.rss_kb / 1024, (double)psl.rss_kb / 1024, (double)ps0.rss_kb / 1024, (double)ps1.rss_kb / 1024,
           (double)peak_rss / 1024, kb_viewer, kb_pub);
    printf("referee cpu %.2f s; other processes %.2f s; the machine has %.1f\n", self, others,
           secs * (double)sysconf(_SC_NPROCESSORS_ONLN));

    if (opt_json) {
        FILE *f = fopen(opt_json, "a");
        if (!f)
            die("cannot write %s", opt_json);
        fprintf(f,
                "{\"label\":\"%s\",\"secs\":%.3f,\"pubs\":%d,\"players\":%d,\"live\":%d,\"died\":%d,\"failed_joins\":%d,"
                "\"bytes\":%.0f,\"ratio\":%.4f,\"frame_ratio\":%.4f,\"late\":%llu,\"min_mb\":%.3f,\"med_mb\":%.3f,\"max_mb\":%.3f,"
                "\"join_byte_p50\":%.2f,\"join_byte_p99\":%.2f,\"join_frame_p50\":%.2f,\"join_frame_p99\":%.2f,\"join_key_p50\":%.2f,\"join_key_p99\":%.2f,"
                "\"lat_n\":%zu,\"lat_p50\":%.3f,\"lat_p90\":%.3f,\"lat_p99\":%.3f,\"lat_max\":%.3f,"
                "\"cpu\":%.3f,\"cpu_user\":%.3f,\"cpu_sys\":%.3f,\"cpu_per_gb\":%.4f,\"ms_per_pub\":%.4f,"
                "\"rss0_kb\":%ld,\"rss_lead_kb\":%ld,\"rss_win_kb\":%ld,\"rss_end_kb\":%ld,\"peak_kb\":%ld,\"kb_per_viewer\":%.2f,\"kb_per_pub\":%.2f,\"threads\":%ld,"
                "\"referee_cpu\":%.3f,\"others_cpu\":%.3f,\"error\":\"%s\"}\n",
                opt_label, secs, opt_pub_count, opt_count, live_at_win, ndead - dead_at_win, nfailed_join, bytes, ratio,
                fratio, (unsigned long long)late, (double)pct(&per, 0) / 1e6, (double)pct(&per, 50) / 1e6,
                (double)pct(&per, 100) / 1e6, (double)pct(&join_byte, 50) / 1e3, (double)pct(&join_byte, 99) / 1e3,
                (double)pct(&join_frame, 50) / 1e3, (double)pct(&join_frame, 99) / 1e3, (double)pct(&join_key, 50) / 1e3,
                (double)pct(&join_key, 99) / 1e3, lat.n,
                (double)pct(&lat, 50) / 1e3, (double)pct(&lat, 90) / 1e3, (double)pct(&lat, 99) / 1e3,
                (double)pct(&lat, 100) / 1e3, cpu, cpu_u, cpu_s, gb > 0 ? cpu / gb : 0,
                ms_pub, psb.rss_kb, psl.rss_kb, ps0.rss_kb, ps1.rss_kb, peak_rss, kb_viewer, kb_pub,
                ps1.threads, self, others, first_error);
        fclose(f);
    }
    return 0;
}
