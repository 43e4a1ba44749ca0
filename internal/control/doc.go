// Package control is the service layer under the API: what can be asked of the server, and done to it, whichever dialect asks. The dialects
// (api, api/zlm) read arguments and write answers, and do nothing else.
//
// Questions are answered from snapshots of the hub, and never wait for media. Commands wait until what they have ended is gone, as long as
// their context lives.
package control
