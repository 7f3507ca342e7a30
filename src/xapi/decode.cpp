#include "xapi/decode.hpp"

#include <array>
#include <span>

#include "core/json.hpp"
#include "core/text.hpp"
#include "rpc/scan.hpp"

namespace vnvme::xapi {
namespace {

constexpr std::size_t kValueBytes = 4u << 20;  // one member of one record
constexpr std::size_t kEvents = 1u << 20;
constexpr std::size_t kRefBytes = 256;

rpc::ScanLimits scan_limits(std::string_view text) {
  rpc::ScanLimits limits;
  limits.frame_bytes = text.size();
  return limits;
}

tl::unexpected<Error> wrong(std::string text) {
  return fail(Errc::corrupt, std::move(text));
}

Result<Json> value_of(std::string_view text) {
  return parse_json(text, JsonLimits{.bytes = kValueBytes, .depth = 16, .values = 65'536});
}

// The readers of a member's value, by the type of the field that it goes to.

Result<void> read(std::string& out, std::string_view text) {
  auto json = value_of(text);
  if (!json) return fail(json.error());
  if (!json->is_string()) return wrong("not a string");
  out = json->get_ref<const std::string&>();
  return {};
}

template <class Tag>
Result<void> read(Id<Tag>& out, std::string_view text) {
  std::string plain;
  VNVME_TRY(read(plain, text));
  if (plain.size() > kRefBytes) return wrong("a reference that is too long");
  // XAPI's null has had several spellings.
  if (plain == "OpaqueRef:NULL" || plain == "NULL" || plain.starts_with("Ref:")) plain.clear();
  out.value = std::move(plain);
  return {};
}

Result<void> read(bool& out, std::string_view text) {
  if (text != "true" && text != "false") return wrong("not a boolean");
  out = text == "true";
  return {};
}

Result<void> read(std::int64_t& out, std::string_view text) {
  auto json = value_of(text);
  if (!json) return fail(json.error());
  // A number in JSON-RPC; a string in what passed through XML-RPC.
  if (json->is_string()) json = value_of(json->get_ref<const std::string&>());
  if (!json || !json->is_number_integer()) return wrong("not an integer");
  if (json->is_number_unsigned() && json->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
    return wrong("an integer beyond 64 bits");
  out = json->get<std::int64_t>();
  return {};
}

Result<void> read(Map& out, std::string_view text) {
  auto json = value_of(text);
  if (!json) return fail(json.error());
  if (!json->is_object()) return wrong("not a map");
  out.clear();
  for (auto it = json->begin(); it != json->end(); ++it) {
    if (!it->is_string()) return wrong("a map with a value that is not a string");
    out[it.key()] = it->get_ref<const std::string&>();
  }
  return {};
}

Result<void> read(std::vector<std::string>& out, std::string_view text) {
  auto json = value_of(text);
  if (!json) return fail(json.error());
  if (!json->is_array()) return wrong("not a list");
  out.clear();
  for (const auto& one : *json) {
    if (!one.is_string()) return wrong("a list with an element that is not a string");
    out.push_back(one.get_ref<const std::string&>());
  }
  return {};
}

Result<void> read(std::vector<Ref>& out, std::string_view text) {
  std::vector<std::string> plain;
  VNVME_TRY(read(plain, text));
  out.clear();
  for (auto& one : plain) out.emplace_back(std::move(one));
  return {};
}

Result<void> read(PowerState& out, std::string_view text) {
  std::string plain;
  VNVME_TRY(read(plain, text));
  for (auto state : {PowerState::halted, PowerState::paused, PowerState::running, PowerState::suspended}) {
    if (plain != to_string(state)) continue;
    out = state;
    return {};
  }
  return wrong("a power state that is not known: " + printable(plain, 64));
}

template <class R>
struct Member {
  std::string_view name;
  Result<void> (*take)(R& record, std::string_view text);
  bool must = true;
};

template <class R, auto Field>
Result<void> take(R& record, std::string_view text) {
  return read(record.*Field, text);
}

#define VNVME_MEMBER(R, name)   \
  Member<R> {                   \
#name, &take < R, &R::name> \
  }
#define VNVME_OPTIONAL(R, name)        \
  Member<R> {                          \
#name, &take < R, &R::name>, false \
  }

constexpr std::array kVm{
    VNVME_MEMBER(Vm, uuid),
    VNVME_MEMBER(Vm, name_label),
    VNVME_MEMBER(Vm, power_state),
    VNVME_MEMBER(Vm, is_a_template),
    VNVME_OPTIONAL(Vm, is_default_template),
    VNVME_MEMBER(Vm, is_a_snapshot),
    VNVME_MEMBER(Vm, is_control_domain),
    VNVME_OPTIONAL(Vm, domain_type),
    VNVME_MEMBER(Vm, domid),
    VNVME_MEMBER(Vm, resident_on),
    VNVME_MEMBER(Vm, affinity),
    VNVME_MEMBER(Vm, snapshot_of),
    VNVME_MEMBER(Vm, memory_static_max),
    VNVME_MEMBER(Vm, memory_dynamic_min),
    VNVME_MEMBER(Vm, memory_dynamic_max),
    VNVME_MEMBER(Vm, other_config),
    VNVME_MEMBER(Vm, blocked_operations),
    VNVME_MEMBER(Vm, current_operations),
    VNVME_MEMBER(Vm, VBDs),
};
constexpr std::array kVbd{
    VNVME_MEMBER(Vbd, uuid),       VNVME_MEMBER(Vbd, VM),
    VNVME_MEMBER(Vbd, VDI),        VNVME_MEMBER(Vbd, device),
    VNVME_MEMBER(Vbd, userdevice), VNVME_MEMBER(Vbd, type),
    VNVME_MEMBER(Vbd, mode),       VNVME_MEMBER(Vbd, currently_attached),
    VNVME_MEMBER(Vbd, empty),      VNVME_MEMBER(Vbd, other_config),
};
constexpr std::array kVdi{
    VNVME_MEMBER(Vdi, uuid),         VNVME_MEMBER(Vdi, location),      VNVME_MEMBER(Vdi, name_label),
    VNVME_MEMBER(Vdi, SR),           VNVME_MEMBER(Vdi, snapshot_of),   VNVME_MEMBER(Vdi, virtual_size),
    VNVME_MEMBER(Vdi, read_only),    VNVME_MEMBER(Vdi, is_a_snapshot), VNVME_MEMBER(Vdi, managed),
    VNVME_MEMBER(Vdi, other_config),
};
constexpr std::array kSr{
    VNVME_MEMBER(Sr, uuid),   VNVME_MEMBER(Sr, name_label), VNVME_MEMBER(Sr, type),
    VNVME_MEMBER(Sr, shared), VNVME_MEMBER(Sr, PBDs),       VNVME_MEMBER(Sr, other_config),
};
constexpr std::array kPbd{
    VNVME_MEMBER(Pbd, uuid),
    VNVME_MEMBER(Pbd, host),
    VNVME_MEMBER(Pbd, SR),
    VNVME_MEMBER(Pbd, device_config),
    VNVME_MEMBER(Pbd, currently_attached),
    VNVME_MEMBER(Pbd, other_config),
};
constexpr std::array kHost{
    VNVME_MEMBER(Host, uuid),
    VNVME_MEMBER(Host, hostname),
    VNVME_MEMBER(Host, address),
    VNVME_MEMBER(Host, enabled),
    VNVME_OPTIONAL(Host, software_version),
    VNVME_OPTIONAL(Host, chipset_info),
    VNVME_MEMBER(Host, other_config),
};
constexpr std::array kPool{
    VNVME_MEMBER(Pool, uuid),
    VNVME_MEMBER(Pool, master),
    VNVME_MEMBER(Pool, other_config),
};
#undef VNVME_MEMBER
#undef VNVME_OPTIONAL

template <class R>
Result<Record> decode(const std::span<const Member<R>> members, Ref ref, std::string_view text) {
  R record;
  record.ref = std::move(ref);
  std::uint32_t seen = 0;
  auto done = rpc::each_member(
      text,
      [&record, &seen, members](std::string_view key, std::string_view value) -> Result<void> {
        for (std::size_t i = 0; i < members.size(); ++i) {
          if (members[i].name != key) continue;
          auto taken = members[i].take(record, value);
          if (!taken) return wrong(std::string(key) + ": " + taken.error().text);
          seen |= 1u << i;
          return {};
        }
        return {};
      },
      scan_limits(text));
  if (!done) return wrong(done.error().text);
  for (std::size_t i = 0; i < members.size(); ++i)
    if (members[i].must && (seen & (1u << i)) == 0)
      return wrong("the record has no " + std::string(members[i].name));
  return Record(std::move(record));
}

template <std::size_t N, class R>
Result<Record> decode(const std::array<Member<R>, N>& members, Ref ref, std::string_view text) {
  static_assert(N <= 32);
  return decode(std::span<const Member<R>>(members), std::move(ref), text);
}

// A member's name as text: refs have no escapes, but nobody promises that.
Result<Ref> key_ref(std::string_view key) {
  return decode_ref("\"" + std::string(key) + "\"");
}

struct RawEvent {
  std::string_view cls, operation, ref, id, snapshot;
};

Result<RawEvent> split_event(std::string_view text) {
  RawEvent out;
  auto done = rpc::each_member(
      text,
      [&out](std::string_view key, std::string_view value) -> Result<void> {
        if (key == "class") out.cls = value;
        if (key == "operation") out.operation = value;
        if (key == "ref") out.ref = value;
        if (key == "id") out.id = value;
        if (key == "snapshot") out.snapshot = value;
        return {};
      },
      scan_limits(text));
  if (!done) return fail(done.error());
  return out;
}

Result<void> add_event(EventBatch& batch, std::string_view text) {
  auto raw = split_event(text);
  if (!raw) return fail(raw.error());
  std::string cls, operation;
  VNVME_TRY(read(cls, raw->cls));
  auto known = class_named(cls);
  if (!known) return {};
  VNVME_TRY(read(operation, raw->operation));
  Event event;
  event.cls = *known;
  VNVME_TRY(read(event.ref, raw->ref));
  VNVME_TRY(read(event.id, raw->id));
  if (event.ref.empty()) return wrong("an event without a reference");
  if (operation == "del") {
    event.operation = Event::Operation::removed;
  } else if (operation == "add" || operation == "mod") {
    event.operation = operation == "add" ? Event::Operation::added : Event::Operation::modified;
    auto record = raw->snapshot.empty() ? Result<Record>(wrong("an event without its record"))
                                        : decode_record(event.cls, event.ref, raw->snapshot);
    if (record)
      event.record = std::move(*record);
    else
      event.unreadable = record.error().text;
  } else {
    return wrong("an event whose operation is not known: " + printable(operation, 64));
  }
  batch.events.push_back(std::move(event));
  return {};
}

Result<void> add_count(EventBatch& batch, std::string_view key, std::string_view value) {
  auto cls = class_named(key);
  if (!cls) return {};
  std::int64_t count = 0;
  VNVME_TRY(read(count, value));
  if (count < 0) return wrong("a negative number of objects");
  batch.counts[*cls] = static_cast<std::uint64_t>(count);
  return {};
}

}  // namespace

std::optional<Class> class_named(std::string_view name) {
  auto same = [name](std::string_view other) {
    return std::equal(name.begin(), name.end(), other.begin(), other.end(), [](char a, char b) {
      auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
      return lower(a) == lower(b);
    });
  };
  for (std::size_t i = 0; i < kClasses; ++i)
    if (same(to_string(static_cast<Class>(i)))) return static_cast<Class>(i);
  return std::nullopt;
}

Result<Record> decode_record(Class cls, Ref ref, std::string_view text) {
  switch (cls) {
    case Class::vm:
      return decode(kVm, std::move(ref), text);
    case Class::vbd:
      return decode(kVbd, std::move(ref), text);
    case Class::vdi:
      return decode(kVdi, std::move(ref), text);
    case Class::sr:
      return decode(kSr, std::move(ref), text);
    case Class::pbd:
      return decode(kPbd, std::move(ref), text);
    case Class::host:
      return decode(kHost, std::move(ref), text);
    case Class::pool:
      return decode(kPool, std::move(ref), text);
  }
  return fail(Errc::internal, "a class without a decoder");
}

Result<std::vector<Record>> decode_records(Class cls, std::string_view text) {
  std::vector<Record> out;
  auto done = rpc::each_member(
      text,
      [&out, cls](std::string_view key, std::string_view value) -> Result<void> {
        auto ref = key_ref(key);
        if (!ref) return fail(ref.error());
        auto record = decode_record(cls, *ref, value);
        if (!record) return wrong(ref->str() + ": " + record.error().text);
        if (out.size() == kEvents) return wrong("more than " + std::to_string(kEvents) + " records");
        out.push_back(std::move(*record));
        return {};
      },
      scan_limits(text));
  if (!done) return fail(done.error());
  return out;
}

Result<BatchDecoder> BatchDecoder::open(std::string_view text, std::uint64_t session) {
  BatchDecoder out;
  std::string_view events, counts, token;
  auto done = rpc::each_member(
      text,
      [&events, &counts, &token](std::string_view key, std::string_view value) -> Result<void> {
        if (key == "events") events = value;
        if (key == "valid_ref_counts") counts = value;
        if (key == "token") token = value;
        return {};
      },
      scan_limits(text));
  if (!done) return fail(done.error());
  auto& cursor = out.batch_.cursor;
  VNVME_TRY(read(cursor.token, token));
  if (cursor.token.empty() || cursor.token.size() > kRefBytes)
    return wrong("event.from answered without a usable token");
  cursor.session = session;
  VNVME_TRY(rpc::each_element(
      events,
      [&out](std::string_view one) -> Result<void> {
        if (out.events_.size() == kEvents) return wrong("more than " + std::to_string(kEvents) + " events");
        out.events_.push_back(one);
        return {};
      },
      scan_limits(text)));
  if (!counts.empty())
    VNVME_TRY(rpc::each_member(
        counts,
        [&out](std::string_view key, std::string_view value) { return add_count(out.batch_, key, value); },
        scan_limits(text)));
  return out;
}

Result<void> BatchDecoder::step(std::size_t events) {
  for (; events > 0 && !done(); --events) VNVME_TRY(add_event(batch_, events_[next_++]));
  return {};
}

Result<EventBatch> decode_batch(std::string_view text, std::uint64_t session) {
  auto decoder = BatchDecoder::open(text, session);
  if (!decoder) return fail(decoder.error());
  VNVME_TRY(decoder->step(kEvents));
  return decoder->take();
}

Result<std::string> decode_text(std::string_view text) {
  std::string out;
  VNVME_TRY(read(out, text));
  return out;
}
Result<Ref> decode_ref(std::string_view text) {
  Ref out;
  VNVME_TRY(read(out, text));
  return out;
}
Result<std::vector<std::string>> decode_texts(std::string_view text) {
  std::vector<std::string> out;
  VNVME_TRY(read(out, text));
  return out;
}
Result<PowerState> decode_power_state(std::string_view text) {
  auto out = PowerState::halted;
  VNVME_TRY(read(out, text));
  return out;
}

}  // namespace vnvme::xapi
