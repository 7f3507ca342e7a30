#include "state/row_codec.hpp"

#include <array>

#include "core/json.hpp"
#include "state/contents.hpp"

namespace vnvme::state {
namespace {

// Names of the enumerators in the order of their declaration: an administrator reads them in the file.
constexpr std::array<const char*, 3> kSrStates = {"creating", "ready", "destroying"};
constexpr std::array<const char*, 3> kVolumeStates = {"creating", "ready", "trash"};
constexpr std::array<const char*, 3> kVolumeKinds = {"data", "snapshot", "base"};
constexpr std::array<const char*, 2> kProvisionings = {"thin", "thick"};
constexpr std::array<const char*, 3> kWipes = {"zero", "unmap", "none"};
constexpr std::array<const char*, 3> kAttachStates = {"attached", "active", "releasing"};
constexpr std::array<const char*, 3> kAttachModes = {"none", "ro", "rw"};
constexpr std::array<const char*, 11> kIntentKinds = {"sr_create",  "sr_destroy", "create",  "snapshot",
                                                      "clone",      "resize",     "revert",  "destroy",
                                                      "merge_base", "expose",     "unexpose"};

template <std::size_t N, class Enum>
Value name(const std::array<const char*, N>& names, Enum value) {
  return std::string(names.at(static_cast<std::size_t>(value)));
}
Value number(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}
Value flag(bool value) {
  return std::int64_t{value};
}

template <class List>
Value list(const List& values) {
  if (values.empty()) return std::string("[]");
  Json array = Json::array();
  for (const std::string& value : values) array.push_back(value);
  return dump_json(array);
}
Value map(const std::map<std::string, std::string>& values) {
  if (values.empty()) return std::string("{}");
  Json object = Json::object();
  for (const auto& [key, value] : values) object[key] = value;
  return dump_json(object);
}

// Takes a row apart, column by column; remembers that something did not fit.
class Reader {
 public:
  explicit Reader(const Row& row) : row_(row) {}
  std::string text() {
    const auto* value = next<std::string>();
    return value ? *value : std::string();
  }
  std::uint64_t number() {
    const auto* value = next<std::int64_t>();
    return value ? static_cast<std::uint64_t>(*value) : 0;
  }
  std::uint32_t small() {
    std::uint64_t value = number();
    if (value > UINT32_MAX) fits_ = false;
    return static_cast<std::uint32_t>(value);
  }
  bool flag() { return number() != 0; }
  template <class Enum, std::size_t N>
  Enum name(const std::array<const char*, N>& names) {
    std::string wanted = text();
    for (std::size_t i = 0; i < N; ++i)
      if (wanted == names[i]) return static_cast<Enum>(i);
    fits_ = false;
    return Enum{};
  }
  std::vector<std::string> list() {
    std::vector<std::string> values;
    Json array = json();
    if (!array.is_array()) fits_ = false;
    for (const Json& value : array) {
      if (!value.is_string())
        fits_ = false;
      else
        values.push_back(value.get_ref<const std::string&>());
    }
    return values;
  }
  std::map<std::string, std::string> map() {
    std::map<std::string, std::string> values;
    Json object = json();
    if (!object.is_object()) {
      fits_ = false;
      return values;
    }
    for (auto it = object.begin(); it != object.end(); ++it) {
      if (!it.value().is_string())
        fits_ = false;
      else
        values[it.key()] = it.value().get_ref<const std::string&>();
    }
    return values;
  }
  [[nodiscard]] bool complete() const { return fits_ && at_ == row_.size(); }

 private:
  template <class T>
  const T* next() {
    const T* value = at_ < row_.size() ? std::get_if<T>(&row_[at_]) : nullptr;
    ++at_;
    if (!value) fits_ = false;
    return value;
  }
  // Bounds: what contents.cpp lets in, and the sixfold growth of a text of control characters.
  Json json() {
    std::string source = text();
    if (source == "{}") return Json::object();
    if (source == "[]") return Json::array();
    auto parsed = parse_json(
        source, {.bytes = 8 * kMaxText, .depth = 2, .values = 4 * kMaxEntries, .string_bytes = kMaxText});
    if (!parsed) {
      fits_ = false;
      return {};
    }
    return std::move(*parsed);
  }

  const Row& row_;
  std::size_t at_ = 0;
  bool fits_ = true;
};

Row row_of(const SrRecord& r) {
  return {r.id.str(),
          r.type,
          r.name,
          r.description,
          name(kSrStates, r.state),
          r.dpu.str(),
          r.pool.str(),
          r.pool_name,
          list(r.drives),
          list(r.serials),
          r.raid_level,
          r.raid_name,
          number(r.strip_kib),
          name(kProvisionings, r.provisioning),
          name(kWipes, r.wipe),
          flag(r.attached),
          number(r.total.value),
          number(r.free.value),
          number(r.cluster.value),
          flag(r.adopted)};
}
SrRecord sr_of(Reader& in) {
  SrRecord r;
  r.id = SrId(in.text());
  r.type = in.text(), r.name = in.text(), r.description = in.text();
  r.state = in.name<SrState>(kSrStates);
  r.dpu = DpuId(in.text()), r.pool = PoolId(in.text()), r.pool_name = in.text();
  r.drives = in.list(), r.serials = in.list();
  r.raid_level = in.text(), r.raid_name = in.text(), r.strip_kib = in.small();
  r.provisioning = in.name<Provisioning>(kProvisionings);
  r.wipe = in.name<Wipe>(kWipes);
  r.attached = in.flag();
  r.total.value = in.number(), r.free.value = in.number(), r.cluster.value = in.number();
  r.adopted = in.flag();
  return r;
}

Row row_of(const VolumeRecord& r) {
  return {r.id.str(),
          r.sr.str(),
          r.name,
          r.description,
          map(r.keys),
          name(kVolumeKinds, r.kind),
          name(kVolumeStates, r.state),
          number(r.size.value),
          r.dpu_name,
          r.dpu_id.str(),
          r.parent.str(),
          flag(r.sharable),
          flag(r.rename_pending),
          number(r.seq)};
}
VolumeRecord volume_of(Reader& in) {
  VolumeRecord r;
  r.id = VolumeId(in.text()), r.sr = SrId(in.text());
  r.name = in.text(), r.description = in.text(), r.keys = in.map();
  r.kind = in.name<VolumeKind>(kVolumeKinds);
  r.state = in.name<VolumeState>(kVolumeStates);
  r.size.value = in.number();
  r.dpu_name = in.text(), r.dpu_id = DpuVolumeId(in.text()), r.parent = VolumeId(in.text());
  r.sharable = in.flag(), r.rename_pending = in.flag(), r.seq = in.number();
  return r;
}

Row row_of(const AttachmentRecord& r) {
  return {r.volume.str(),
          r.owner,
          list(r.domains),
          r.function.str(),
          r.dpu.str(),
          number(r.nsid),
          name(kAttachModes, r.mode),
          name(kAttachStates, r.state),
          r.boot_id,
          r.device};
}
AttachmentRecord attachment_of(Reader& in) {
  AttachmentRecord r;
  r.volume = VolumeId(in.text()), r.owner = in.text();
  for (std::string& domain : in.list()) r.domains.insert(std::move(domain));
  r.function = FunctionId(in.text()), r.dpu = DpuId(in.text()), r.nsid = in.small();
  r.mode = in.name<AttachMode>(kAttachModes);
  r.state = in.name<AttachState>(kAttachStates);
  r.boot_id = in.text(), r.device = in.text();
  return r;
}

Row row_of(const ReservationRecord& r) {
  return {r.vm.str(), r.dpu.str(), r.function.str(), r.serial};
}
ReservationRecord reservation_of(Reader& in) {
  ReservationRecord r;
  r.vm = VmId(in.text()), r.dpu = DpuId(in.text()), r.function = FunctionId(in.text()), r.serial = in.text();
  return r;
}

Row row_of(const NsidRecord& r) {
  return {r.owner, r.volume.str(), number(r.nsid)};
}
NsidRecord nsid_of(Reader& in) {
  NsidRecord r;
  r.owner = in.text(), r.volume = VolumeId(in.text()), r.nsid = in.small();
  return r;
}

Row row_of(const IntentRecord& r) {
  return {number(r.id),   name(kIntentKinds, r.kind), r.sr.str(), r.volume.str(), map(r.facts),
          r.request.str()};
}
IntentRecord intent_of(Reader& in) {
  IntentRecord r;
  r.id = in.number();
  r.kind = in.name<IntentKind>(kIntentKinds);
  r.sr = SrId(in.text()), r.volume = VolumeId(in.text()), r.facts = in.map(),
  r.request = RequestId(in.text());
  return r;
}

Row row_of(const RequestRecord& r) {
  return {r.id.str(), r.method, r.answer, r.wall_seconds};
}
RequestRecord request_of(Reader& in) {
  RequestRecord r;
  r.id = RequestId(in.text()), r.method = in.text(), r.answer = in.text();
  r.wall_seconds = static_cast<std::int64_t>(in.number());
  return r;
}

struct ToRowChange {
  RowChange operator()(const Put<SrRecord>& c) { return {TableId::sr, true, row_of(c.record)}; }
  RowChange operator()(const Put<VolumeRecord>& c) { return {TableId::volume, true, row_of(c.record)}; }
  RowChange operator()(const Put<AttachmentRecord>& c) {
    return {TableId::attachment, true, row_of(c.record)};
  }
  RowChange operator()(const Put<ReservationRecord>& c) {
    return {TableId::reservation, true, row_of(c.record)};
  }
  RowChange operator()(const Put<NsidRecord>& c) { return {TableId::nsid, true, row_of(c.record)}; }
  RowChange operator()(const Put<IntentRecord>& c) { return {TableId::intent, true, row_of(c.record)}; }
  RowChange operator()(const Put<RequestRecord>& c) { return {TableId::request, true, row_of(c.record)}; }
  RowChange operator()(const PutNote& c) { return {TableId::note, true, {c.key, c.value}}; }
  RowChange operator()(const Erase<SrId>& c) { return {TableId::sr, false, {c.key.str()}}; }
  RowChange operator()(const Erase<VolumeId>& c) { return {TableId::volume, false, {c.key.str()}}; }
  RowChange operator()(const EraseAttachment& c) {
    return {TableId::attachment, false, {c.volume.str(), c.owner}};
  }
  RowChange operator()(const EraseReservation& c) {
    return {TableId::reservation, false, {c.vm.str(), c.dpu.str()}};
  }
  RowChange operator()(const EraseNsid& c) { return {TableId::nsid, false, {c.owner, c.volume.str()}}; }
  RowChange operator()(const EraseIntent& c) { return {TableId::intent, false, {number(c.id)}}; }
  RowChange operator()(const Erase<RequestId>& c) { return {TableId::request, false, {c.key.str()}}; }
  RowChange operator()(const EraseNote& c) { return {TableId::note, false, {c.key}}; }
};

}  // namespace

RowChange to_row_change(const Change& change) {
  return std::visit(ToRowChange{}, change);
}

Result<void> add_row(Snapshot& to, TableId id, const Row& row) {
  Reader in(row);
  switch (id) {
    case TableId::sr:
      to.srs.push_back(sr_of(in));
      break;
    case TableId::volume:
      to.volumes.push_back(volume_of(in));
      break;
    case TableId::attachment:
      to.attachments.push_back(attachment_of(in));
      break;
    case TableId::reservation:
      to.reservations.push_back(reservation_of(in));
      break;
    case TableId::nsid:
      to.nsids.push_back(nsid_of(in));
      break;
    case TableId::intent:
      to.intents.push_back(intent_of(in));
      break;
    case TableId::request:
      to.requests.push_back(request_of(in));
      break;
    case TableId::note: {
      std::string key = in.text();
      to.notes[key] = in.text();
      break;
    }
  }
  if (!in.complete())
    return fail(Errc::corrupt,
                std::string("a row of table ") + table(id).name + " holds values that no record has");
  return {};
}

}  // namespace vnvme::state
