package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/vigil-media/vigil/internal/conf"
)

const (
	changeTime = 3 * time.Second // for a change of settings, which is written down
	changeMost = 64 << 10        // bytes of it
)

// settingList is the answer of GET /api/v1/settings.
type settingList struct {
	Settings map[string]string `json:"settings" doc:"Every setting by its dotted key, as text. A secret is ***"`
}

// settingChange is the answer of PATCH /api/v1/settings. Lists are sorted.
type settingChange struct {
	Changed []string `json:"changed" nullable:"false" doc:"Keys that say something else now"`
	Now     []string `json:"now" nullable:"false" doc:"Of them, those that hold from the next session, stream or call on"`
	Later   []string `json:"later" nullable:"false" doc:"Of them, those that hold when the server starts next"`
}

// settingSet is the body of PATCH /api/v1/settings.
type settingSet map[string]json.RawMessage

// Schema implements huma.SchemaProvider.
func (settingSet) Schema(huma.Registry) *huma.Schema {
	text := &huma.Schema{Type: huma.TypeString}
	return &huma.Schema{
		Type:        huma.TypeObject,
		Description: "Dotted keys and their new values. A duration or a size is a text, as in the configuration file",
		Examples:    []any{map[string]any{"publish.resume_window": "15s", "limits.viewers": 1000}},
		AdditionalProperties: &huma.Schema{OneOf: []*huma.Schema{
			text, {Type: huma.TypeNumber}, {Type: huma.TypeBoolean}, {Type: huma.TypeArray, Items: text},
		}},
	}
}

// settings adds the operations on settings.
func (a *API) settings(h huma.API) {
	huma.Register(h, operation("list-settings", http.MethodGet, settingsPath, tagSettings, "The configuration as it holds"),
		func(context.Context, *struct{}) (*answer[settingList], error) {
			return &answer[settingList]{settingList{a.opt.Control.Settings().All()}}, nil
		})
	op := operation("change-settings", http.MethodPatch, settingsPath, tagSettings, "Change settings, all or none", http.StatusBadRequest,
		http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusServiceUnavailable)
	op.Description = "The change is kept for the next start. A key that is set by an environment variable or on the command line cannot be changed. " +
		"If anything is wrong, nothing is changed, and problems of the answer says what."
	op.SkipValidateBody, op.MaxBodyBytes = true, changeMost // each value is looked at below
	huma.Register(h, op, a.changeSettings)
}

func (a *API) changeSettings(ctx context.Context, in *struct{ Body settingSet }) (*answer[settingChange], error) {
	set, wrong := in.Body.texts()
	if len(wrong) > 0 {
		return nil, badSettings(wrong)
	}
	ctx, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	c, err := a.opt.Control.Settings().Change(ctx, set)
	if problems, ok := errors.AsType[conf.Problems](err); ok {
		return nil, badSettings(problems)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, slow("slow", err.Error())
	case err != nil:
		return nil, slow("not-kept", "nothing was changed: "+err.Error())
	}
	out := settingChange{Changed: noNil(c.Changed), Now: []string{}, Later: noNil(c.Later)}
	for _, key := range c.Changed {
		if !slices.Contains(c.Later, key) {
			out.Now = append(out.Now, key)
		}
	}
	return &answer[settingChange]{out}, nil
}

// badSettings is the failure of a change in which something is wrong.
func badSettings(ps conf.Problems) error {
	f := failed(http.StatusBadRequest, "bad-settings", "")
	for _, p := range ps {
		f.Problems = append(f.Problems, problem{Key: p.Key, Message: p.Message, At: p.At.String()})
	}
	f.Message = summary("nothing was changed", f.Problems)
	return f
}

// texts are the values as control.Settings takes them.
func (s settingSet) texts() (set map[string]string, problems conf.Problems) {
	set = map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(s)) {
		text, ok := textOf(s[key])
		switch {
		case !ok:
			problems = append(problems, conf.Problem{Key: key, Message: "wanted a text, a number, true, false, or a list of texts"})
		case text == conf.Secret(text).String(): // somebody sends back what was read
			problems = append(problems, conf.Problem{Key: key, Message: text + " stands for a secret, and is none: leave the key out"})
		}
		set[key] = text
	}
	return set, problems
}

// textOf is a value as text, as the environment and the command line take it; a list as [a, b].
func textOf(value json.RawMessage) (text string, ok bool) {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return "", false
	}
	switch value[0] {
	case '"':
		err := json.Unmarshal(value, &text)
		return text, err == nil
	case '[':
		var list []*string
		if json.Unmarshal(value, &list) != nil || slices.Contains(list, nil) {
			return "", false
		}
		return string(value), true // a list in JSON is one in YAML
	case '{', 'n':
		return "", false
	}
	return string(value), true // a number, true or false
}

// noNil is a list that JSON does not write as null.
func noNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
