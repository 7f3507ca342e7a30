// Aligned columns that fit the terminal: wide columns shrink first, then the
// least important ones go.
#pragma once
#include <string>
#include <vector>

#include "cli/terminal.hpp"

namespace vnvme::cli {

struct Cell {
  std::string text;
  Style style = Style::plain;
  Cell() = default;
  Cell(std::string t, Style s = Style::plain) : text(std::move(t)), style(s) {}  // NOLINT: cells are texts
  Cell(const char* t, Style s = Style::plain) : text(t), style(s) {}             // NOLINT
};

struct Column {
  std::string title;
  bool right = false;
  std::size_t least = 0;  // may shrink to this width; 0: never shrinks
  int rank = 0;           // 0: always there; the highest goes first when there is no room
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // Missing cells are empty, too many are dropped. Text may be anything: it is made printable here.
  void add(std::vector<Cell> row);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  // Ends with a newline. Columns in which no row has anything are left out.
  [[nodiscard]] std::string render(const Terminal&, bool titles = true, const std::string& indent = "") const;
  // The same as single lines, for who draws something before each.
  [[nodiscard]] std::vector<std::string> lines(const Terminal&, bool titles, std::size_t indent_width) const;

 private:
  struct Layout {
    std::vector<std::size_t> shown, widths;
  };
  [[nodiscard]] Layout lay_out(const Terminal&, bool titles, std::size_t indent_width) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace vnvme::cli
