package containerd

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// codec reads what containerd sends, also text that is no valid UTF-8: 1.6 takes it in labels and sends it
// on, and one label must not hide all containers of its namespace.
type codec struct{}

// Name is that of the codec in whose place it stands.
func (codec) Name() string { return "proto" }

// Marshal encodes a question.
func (codec) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("encode %T: not a message", v)
	}
	return proto.Marshal(m)
}

// Unmarshal decodes an answer.
func (codec) Unmarshal(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("decode %T: not a message", v)
	}
	err := proto.Unmarshal(b, m)
	if err == nil {
		return nil
	}
	valid, ok := validText(b, m.ProtoReflect().Descriptor())
	if !ok {
		return err
	}
	return proto.Unmarshal(valid, m)
}

// validText returns a message with every broken byte of a text replaced. ok is false if it is no message.
func validText(b []byte, message protoreflect.MessageDescriptor) (out []byte, ok bool) {
	for len(b) > 0 {
		number, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, false
		}
		size := protowire.ConsumeFieldValue(number, typ, b[n:])
		if size < 0 {
			return nil, false
		}
		field := message.Fields().ByNumber(number)
		if typ != protowire.BytesType || field == nil || field.Kind() != protoreflect.StringKind && field.Kind() != protoreflect.MessageKind {
			out = append(out, b[:n+size]...)
			b = b[n+size:]
			continue
		}
		value, _ := protowire.ConsumeBytes(b[n:])
		if field.Kind() == protoreflect.StringKind {
			value = []byte(strings.ToValidUTF8(string(value), "\ufffd"))
		} else if value, ok = validText(value, field.Message()); !ok {
			return nil, false
		}
		out = protowire.AppendBytes(protowire.AppendTag(out, number, typ), value)
		b = b[n+size:]
	}
	return out, true
}
