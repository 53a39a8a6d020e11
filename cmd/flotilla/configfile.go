package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

type fileValue struct {
	value, path string
	line        int
}

// configFile holds a YAML file's values by flag name.
type configFile map[string]fileValue

// maxConfigBytes bounds a configuration file: fifty flags do not need more.
const maxConfigBytes = 1 << 20

// readConfigFile reads path, whose keys must all be among known. Lists become text separated by commas, a
// mapping becomes k=v pairs, so that initial-cluster reads well. An empty path is an empty file.
func readConfigFile(path string, known []string) (configFile, error) {
	if path == "" {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxConfigBytes {
		err = fmt.Errorf("%d bytes, %d at most", info.Size(), maxConfigBytes)
	}
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, usagef("check --config")("configuration file %s: %w", path, err)
	}
	parsed, err := parser.ParseBytes(raw, 0)
	if err != nil {
		return nil, usagef("the file is YAML: one \"flag: value\" a line")("configuration file %s: %w", path, err)
	}
	file := configFile{}
	for _, doc := range parsed.Docs {
		if err := file.add(path, doc.Body, known); err != nil {
			return nil, err
		}
	}
	return file, nil
}

func (file configFile) add(path string, body ast.Node, known []string) error {
	if body == nil || body.Type() == ast.NullType || body.Type() == ast.CommentType {
		return nil
	}
	pairs, ok := mapping(body)
	if !ok {
		return usagef("the file is YAML: one \"flag: value\" a line")("configuration file %s:%d: not a mapping", path, line(body))
	}
	for _, p := range pairs {
		key, at := p.Key.String(), line(p.Key)
		if !slices.Contains(known, key) || key == "config" {
			hint := "keys are the flags of the command, without dashes before them"
			if s := nearest(key, known); s != "" {
				hint = "did you mean " + s + "?"
			}
			return usagef("%s", hint)("configuration file %s:%d: unknown key %q", path, at, key)
		}
		value, err := flatten(p.Value)
		if err != nil {
			return usagef("give one value, a list, or a mapping of values")("configuration file %s:%d: %s: %w", path, at, key, err)
		}
		file[key] = fileValue{value, path, at}
	}
	return nil
}

func line(n ast.Node) int { return n.GetToken().Position.Line }

func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// flatten writes a value the way the flag takes it.
func flatten(n ast.Node) (string, error) {
	if pairs, ok := mapping(n); ok {
		parts := make([]string, len(pairs))
		for i, p := range pairs {
			v, err := flatten(p.Value)
			if err != nil {
				return "", err
			}
			parts[i] = p.Key.String() + "=" + v
		}
		return strings.Join(parts, ","), nil
	}
	switch n := n.(type) {
	case *ast.SequenceNode:
		parts := make([]string, len(n.Values))
		for i, e := range n.Values {
			v, err := flatten(e)
			if err != nil {
				return "", err
			}
			parts[i] = v
		}
		return strings.Join(parts, ","), nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.NullNode:
		return "", nil
	case ast.ScalarNode:
		return n.GetToken().Value, nil
	}
	return "", fmt.Errorf("a %s is not a value", n.Type())
}
