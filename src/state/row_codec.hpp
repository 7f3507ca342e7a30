// Records to rows and back.
#pragma once
#include "state/row.hpp"
#include "vnvme/records.hpp"
#include "vnvme/result.hpp"

namespace vnvme::state {

// What a change does to the tables: the whole row to put, or only the key of the row to erase.
struct RowChange {
  TableId table;
  bool put;
  Row row;
};

RowChange to_row_change(const Change& change);

// Appends the record that this row is to the snapshot. `corrupt` when it is none.
Result<void> add_row(Snapshot& to, TableId table, const Row& row);

}  // namespace vnvme::state
