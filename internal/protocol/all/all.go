// Package all is the list of the protocols, one line each.
package all

import (
	"github.com/vigil-media/vigil/internal/protocol"
	"github.com/vigil-media/vigil/internal/protocol/hls"
	"github.com/vigil-media/vigil/internal/protocol/httplive"
	"github.com/vigil-media/vigil/internal/protocol/rtmp"
	"github.com/vigil-media/vigil/internal/protocol/rtsp"
)

// Protocols returns the rooms.
func Protocols() []protocol.Protocol {
	return []protocol.Protocol{
		rtmp.Protocol(),
		rtsp.Protocol(),
		httplive.Protocol(), hls.Protocol(),
	}
}
