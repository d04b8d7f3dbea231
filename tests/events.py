"""Reads event files as TensorBoard would, with messages spelled out here from its documentation and nothing of ours:
python3 events.py FILE .. prints "step tag value" a line, "step tag image HxW BYTES", "step tag histogram NUM BUCKETS"."""
import struct, sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

T = descriptor_pb2.FieldDescriptorProto


def add(message, name, number, kind, repeated=False, type_name=""):
    f = message.field.add(name=name, number=number, type=kind)
    if type_name:
        f.type_name = type_name
    f.label = T.LABEL_REPEATED if repeated else T.LABEL_OPTIONAL


def messages():
    file = descriptor_pb2.FileDescriptorProto(name="tb.proto", package="tb", syntax="proto2")
    histo = file.message_type.add(name="HistogramProto")
    for i, name in enumerate(["min", "max", "num", "sum", "sum_squares"]):
        add(histo, name, i + 1, T.TYPE_DOUBLE)
    for i, name in enumerate(["bucket_limit", "bucket"]):
        add(histo, name, i + 6, T.TYPE_DOUBLE, True)
        histo.field[-1].options.packed = True
    image = file.message_type.add(name="Image")
    for i, name in enumerate(["height", "width", "colorspace"]):
        add(image, name, i + 1, T.TYPE_INT32)
    add(image, "encoded_image_string", 4, T.TYPE_BYTES)
    value = file.message_type.add(name="Value")
    add(value, "tag", 1, T.TYPE_STRING)
    add(value, "simple_value", 2, T.TYPE_FLOAT)
    add(value, "image", 4, T.TYPE_MESSAGE, type_name=".tb.Image")
    add(value, "histo", 5, T.TYPE_MESSAGE, type_name=".tb.HistogramProto")
    summary = file.message_type.add(name="Summary")
    add(summary, "value", 1, T.TYPE_MESSAGE, True, ".tb.Value")
    log = file.message_type.add(name="SessionLog")
    add(log, "status", 1, T.TYPE_INT32)
    event = file.message_type.add(name="Event")
    add(event, "wall_time", 1, T.TYPE_DOUBLE)
    add(event, "step", 2, T.TYPE_INT64)
    add(event, "file_version", 3, T.TYPE_STRING)
    add(event, "summary", 5, T.TYPE_MESSAGE, type_name=".tb.Summary")
    add(event, "session_log", 7, T.TYPE_MESSAGE, type_name=".tb.SessionLog")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("tb.Event"))


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        length, check = struct.unpack_from("<QI", data, at)
        assert masked(data[at:at + 8]) == check, "CRC of a length"
        body = data[at + 12:at + 12 + length]
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked(body), "CRC of a record"
        yield body
        at += 16 + length


Event = messages()
for path in sys.argv[1:]:
    for i, body in enumerate(records(path)):
        e = Event.FromString(body)
        assert (e.file_version == "brain.Event:2") == (i == 0), "the first record is the version"
        assert e.wall_time > 1e9
        if e.HasField("session_log"):
            print(e.step, "session", e.session_log.status)
        for v in e.summary.value:
            if v.HasField("image"):
                assert v.image.encoded_image_string.startswith(b"\x89PNG")
                print(e.step, v.tag, f"image {v.image.height}x{v.image.width}", len(v.image.encoded_image_string))
            elif v.HasField("histo"):
                h = v.histo
                assert len(h.bucket) == len(h.bucket_limit) and sum(h.bucket) == h.num
                assert list(h.bucket_limit) == sorted(h.bucket_limit) and h.max <= h.bucket_limit[-1]
                print(e.step, v.tag, "histogram", int(h.num), len(h.bucket))
            else:
                print(e.step, v.tag, "%.9g" % v.simple_value)
