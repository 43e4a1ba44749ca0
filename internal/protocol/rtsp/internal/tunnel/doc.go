// Package tunnel carries RTSP over HTTP, for clients that can get no other way through.
//
// A client makes two connections. On one it sends a GET, whose answer never ends and carries what the server says, as it is. On
// the other it sends a POST, whose body carries what the client says, in base64. Both name the same x-sessioncookie. [Pairs] joins them to a
// [Conn], on which RTSP is spoken as on any other connection.
//
//	if isHTTP, enough := tunnel.Sniff(first); enough && isHTTP {
//		head, rest, err := tunnel.ReadHead(conn, first)
//		...
//		if head.Post {
//			err = pairs.Post(ctx, head.Cookie, conn, rest) // until the connection is not used any more
//			return conn.Close()
//		}
//		c, err := pairs.Get(head.Cookie, conn)
//		...
//		_, err = c.Write(tunnel.AppendAnswer(nil))
//		serve(c)
//	}
//
// # Leniency
//
// The two may come in any order. A POST may end at any time and another one take its place, as some clients do for each request, or when as
// much was sent as they said they would: what they say of lengths is not looked at. Padding may be in mid-stream, where each message is
// encoded by itself; line breaks and blanks may be anywhere. The answer is of HTTP/1.0, since there are clients that ask for that
// (bluenviron/gortsplib#768).
//
// # Limits
//
// A head has 8 KiB at most. As many tunnels as [NewPairs] says wait for their other half, each no longer than it says; one POST may wait for
// the end of the one before it, as long. When a client leaves while no POST is there, only a write or a deadline shows it.
// Whoever knows a cookie can speak for the client: clients make them by chance, and nothing else is known of who sends a POST.
//
// # Concurrency and what is not here
//
// All methods of Pairs may be called by any goroutine, and those of Conn as those of any connection, except that one goroutine reads at a
// time. One lock guards memory only. Nothing is started here. Nothing here knows RTSP.
//
// Specification: Apple, "Tunnelling RTSP and RTP over HTTP" (QuickTime Streaming Server, 2001).
package tunnel
