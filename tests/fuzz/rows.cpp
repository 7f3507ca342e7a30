// Rows of the state file, as damage or another version may leave them: refused, or a record that is written
// back as it was read. Input: the table's name, then a line a column.
#include <charconv>

#include "fuzz/fuzz.hpp"
#include "state/row_codec.hpp"

using vnvme::fuzz::cut;
using vnvme::fuzz::require;
namespace state = vnvme::state;

namespace {

state::Value value(const state::Column& column, std::string_view text) {
  if (column.text) return std::string(text);
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

template <class Record>
void same(const std::vector<Record>& records, const state::Row& row) {
  for (const auto& record : records) {
    const auto change = state::to_row_change(vnvme::Put<Record>{record});
    vnvme::Snapshot again;
    require(state::add_row(again, change.table, change.row).has_value(), "what was written can be read");
    require(change.row.size() == row.size(), "a record has all its columns");
    const auto keys = static_cast<std::ptrdiff_t>(state::table(change.table).keys);
    require(std::equal(row.begin(), row.begin() + keys, change.row.begin()), "a record keeps its key");
  }
}

void check(const vnvme::Snapshot& read, const state::Row& row) {
  same(read.srs, row);
  same(read.volumes, row);
  same(read.attachments, row);
  same(read.reservations, row);
  same(read.nsids, row);
  same(read.intents, row);
  same(read.requests, row);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto rest = vnvme::fuzz::text(data, size);
  const auto name = cut(rest, '\n');
  for (const auto& table : state::tables()) {
    if (name != table.name) continue;
    state::Row row;
    for (const auto& column : table.columns) row.push_back(value(column, cut(rest, '\n')));
    vnvme::Snapshot read;
    if (state::add_row(read, table.id, row)) check(read, row);
    row.resize(row.size() / 2);
    vnvme::Snapshot none;
    require(!state::add_row(none, table.id, row).has_value(), "a row that is cut is refused");
  }
  return 0;
}
