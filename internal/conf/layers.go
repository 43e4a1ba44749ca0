package conf

import (
	"slices"
	"strings"
)

// envPrefix begins the name of every environment variable that is a setting.
const envPrefix = "VIGIL_"

// envFile is the variable that names the configuration file itself; the command line reads it.
const envFile = "VIGIL_CONFIG"

// layers reads every source, in the order in which they win. keys are the known dotted keys.
func (s *Source) layers(keys []string) ([]layer, Problems) {
	var all []layer
	var problems Problems
	data := s.Data
	if data == nil && s.File != "" {
		var err error
		if data, err = readFile(s.File); err != nil {
			problems = append(problems, unreadable(s.File, err))
		}
		s.Data = data // as it is now
	}
	if data != nil {
		name := s.File
		if name == "" {
			name = "vigil.yaml"
		}
		l, ps := parseYAML(name, data)
		all, problems = append(all, l), append(problems, ps...)
	}
	if len(s.Kept) > 0 {
		kept, ps := s.kept()
		all, problems = append(all, kept...), append(problems, ps...)
	}
	for _, text := range slices.Sorted(slices.Values(s.Env)) {
		name, value, _ := strings.Cut(text, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envFile {
			continue
		}
		at := Position{Source: fromEnv + printable(name)}
		switch matches := envKeys(name, keys); {
		case len(matches) == 1:
			all = append(all, single(matches[0], value, at))
		case len(matches) > 1:
			problems = append(problems, Problem{
				At:      at,
				Message: "may mean " + strings.Join(matches, " or ") + "; use the file or --set",
			})
		case !serviceLink(name, value):
			problems = append(problems, Problem{At: at, Message: "unknown setting" + didYouMean(name, envNames(keys), nil)})
		}
	}
	for _, text := range s.Set {
		key, value, ok := strings.Cut(text, "=")
		at := Position{Source: fromSet + printable(key) + "=…"}
		if path := strings.Split(key, "."); !ok || slices.Contains(path, "") || len(path) > depthMax {
			problems = append(problems, Problem{At: Position{Source: fromSet + printable(key)}, Message: "wanted key=value"})
			continue
		}
		all = append(all, single(key, value, at))
	}
	return all, problems
}

// single is a layer of one dotted key.
func single(key, text string, at Position) layer {
	l := layer{key: key, where: map[string]Position{}}
	var value any = &leaf{Kind: leafRaw, Text: text, At: at}
	for path := key; path != ""; path = parent(path) {
		name := path[len(parent(path)):]
		value = map[string]any{strings.TrimPrefix(name, "."): value}
		l.where[path] = at
	}
	l.tree, _ = value.(map[string]any)
	return l
}

// envName is the variable that sets key: VIGIL_PUBLISH_RESUME_WINDOW for publish.resume_window.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// envNames lists the variables that set keys.
func envNames(keys []string) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = envName(k)
	}
	return names
}

// envKeys lists the keys that the variable may mean. Since _ stands both for the dot and for itself, that can be told
// only from the known keys. The rest of a variable that begins with the name of a map is, in small letters, its key.
func envKeys(name string, keys []string) []string {
	var exact, inMap []string
	for _, k := range keys {
		table, isMap := strings.CutSuffix(k, ".*")
		if !isMap && envName(k) == name {
			exact = append(exact, k)
		}
		if rest, ok := strings.CutPrefix(name, envName(table)+"_"); ok && isMap && rest != "" {
			inMap = append(inMap, join(table, strings.ToLower(rest)))
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return inMap
}

// serviceLink tells the variables that Kubernetes and Docker set in every container beside a service that happens to
// be called vigil (VIGIL_SERVICE_HOST, VIGIL_PORT=tcp://…, VIGIL_PORT_1935_TCP_ADDR). They are not settings.
func serviceLink(name, value string) bool {
	if strings.Contains(name, "_SERVICE_HOST") || strings.Contains(name, "_SERVICE_PORT") {
		return true
	}
	return strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://") ||
		strings.Contains(name, "_TCP") && strings.Contains(name, "_PORT_") ||
		strings.Contains(name, "_UDP") && strings.Contains(name, "_PORT_")
}
