package zlm

import (
	"context"
	"net/http"
)

// download answers a file. It may be asked for with the secret, or by whom Download lets: pages that show recordings have no secret.
func (a *API) download(_ context.Context, c *call) reply {
	refusal := a.admit(c)
	switch {
	case refusal != nil && c.secretOf() != "": // it is wrong
		return *refusal
	case a.opt.Download == nil:
		return reply{body: plain("this file may not be downloaded\n"), status: http.StatusUnauthorized}
	}
	return reply{send: func(w http.ResponseWriter, r *http.Request) {
		a.opt.Download(w, r, c.text("file_path"), c.text("save_name"), refusal == nil)
	}}
}
