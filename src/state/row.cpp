#include "state/row.hpp"

#include <cstring>
#include <string_view>

namespace vnvme::state {
namespace {

class Fnv {
 public:
  void bytes(std::string_view text) {
    for (char c : text) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  void number(std::uint64_t value) {
    char raw[8];
    std::memcpy(raw, &value, sizeof raw);
    bytes({raw, sizeof raw});
  }
  [[nodiscard]] std::int64_t value() const { return static_cast<std::int64_t>(hash_); }

 private:
  std::uint64_t hash_ = 14695981039346656037ULL;
};

}  // namespace

const std::array<Table, kTables>& tables() {
  static const std::array<Table, kTables> all = {{
      {TableId::sr, "sr", 1, "id", {{"id", true},          {"type", true},         {"name", true},
                                    {"description", true}, {"state", true},        {"dpu", true},
                                    {"pool", true},        {"pool_name", true},    {"drives", true},
                                    {"serials", true},     {"raid_level", true},   {"raid_name", true},
                                    {"strip_kib", false},  {"provisioning", true}, {"wipe", true},
                                    {"attached", false},   {"total", false},       {"free", false},
                                    {"cluster", false},    {"adopted", false}}},
      {TableId::volume,
       "volume",
       1,
       "seq, id",
       {{"id", true},
        {"sr", true},
        {"name", true},
        {"description", true},
        {"keys", true},
        {"kind", true},
        {"state", true},
        {"size", false},
        {"dpu_name", true},
        {"dpu_id", true},
        {"parent", true},
        {"sharable", false},
        {"rename_pending", false},
        {"seq", false}}},
      {TableId::attachment,
       "attachment",
       2,
       "volume, owner",
       {{"volume", true},
        {"owner", true},
        {"domains", true},
        {"function", true},
        {"dpu", true},
        {"nsid", false},
        {"mode", true},
        {"state", true},
        {"boot_id", true},
        {"device", true}}},
      {TableId::reservation,
       "reservation",
       2,
       "vm, dpu",
       {{"vm", true}, {"dpu", true}, {"function", true}, {"serial", true}}},
      {TableId::nsid, "nsid", 2, "owner, volume", {{"owner", true}, {"volume", true}, {"nsid", false}}},
      {TableId::intent,
       "intent",
       1,
       "id",
       {{"id", false}, {"kind", true}, {"sr", true}, {"volume", true}, {"facts", true}, {"request", true}}},
      {TableId::request,
       "request",
       1,
       "id",
       {{"id", true}, {"method", true}, {"answer", true}, {"wall_seconds", false}}},
      {TableId::note, "note", 1, "key", {{"key", true}, {"value", true}}},
  }};
  return all;
}

const Table& table(TableId id) {
  return tables()[static_cast<std::size_t>(id)];
}

std::int64_t checksum(const char* tag, const Row& row) {
  Fnv fnv;
  fnv.bytes(tag);
  for (const Value& value : row) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
      fnv.bytes("i");
      fnv.number(static_cast<std::uint64_t>(*number));
    } else {
      const auto& text = *std::get_if<std::string>(&value);
      fnv.bytes("t");
      fnv.number(text.size());
      fnv.bytes(text);
    }
  }
  return fnv.value();
}

std::int64_t checksum(const Table& of, const Row& row) {
  return checksum(of.name, row);
}

}  // namespace vnvme::state
