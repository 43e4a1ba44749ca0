package faults

import (
	"context"
	"fmt"
	"net"
	"net/url"

	"github.com/vigil-media/vigil/internal/protocol/rtmp"
)

// StallRTMP and StallHTTP begin to play and never read again, with hardly any room in their sockets (Q06, N01; F-ZWIN). Close the
// connection when the server has ended it.
func StallRTMP(ctx context.Context, t Target) (net.Conn, error) {
	conn, err := dialSmall(ctx, t.RTMP)
	if err != nil {
		return nil, err
	}
	c, err := rtmp.NewClient(ctx, conn, &url.URL{Scheme: "rtmp", Host: t.RTMP, Path: "/" + t.Live}, false)
	if err != nil {
		return nil, err
	}
	return conn, c.Play(ctx)
}

// StallHTTP is told of at StallRTMP.
func StallHTTP(ctx context.Context, t Target) (net.Conn, error) {
	conn, err := dialSmall(ctx, t.HTTP)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "GET /%s.live.flv HTTP/1.1\r\nHost: %s\r\n\r\n", t.Live, t.HTTP)
	return conn, err
}

func dialSmall(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{Control: smallWindow}
	return d.DialContext(ctx, "tcp", address)
}
