#include "state/row.hpp"

#include <algorithm>
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

// Names with blanks between them; a '#' after a name makes it an integer.
std::vector<Column> columns(std::string_view names) {
  std::vector<Column> all;
  while (!names.empty()) {
    std::string_view name = names.substr(0, names.find(' '));
    names.remove_prefix(std::min(names.size(), name.size() + 1));
    const bool integer = name.ends_with('#');
    if (integer) name.remove_suffix(1);
    all.push_back({std::string(name), !integer});
  }
  return all;
}

}  // namespace

const std::array<Table, kTables>& tables() {
  static const std::array<Table, kTables> all = {{
      {TableId::sr, "sr", 1, "id",
       columns(
           "id type name description state dpu pool pool_name drives serials raid_level raid_name strip_kib# "
           "provisioning wipe attached# total# free# cluster# adopted#")},
      {TableId::volume, "volume", 1, "seq, id",
       columns("id sr name description keys kind state size# dpu_name dpu_id parent sharable# "
               "rename_pending# seq#")},
      {TableId::attachment, "attachment", 2, "volume, owner",
       columns("volume owner domains function dpu nsid# mode state boot_id device")},
      {TableId::reservation, "reservation", 2, "vm, dpu", columns("vm dpu function serial")},
      {TableId::nsid, "nsid", 2, "owner, volume", columns("owner volume nsid#")},
      {TableId::intent, "intent", 1, "id", columns("id# kind sr volume facts request")},
      {TableId::request, "request", 1, "id", columns("id method answer wall_seconds#")},
      {TableId::note, "note", 1, "key", columns("key value")},
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
