#include "cli/table.hpp"

#include <algorithm>
#include <numeric>

#include "core/text.hpp"

namespace vnvme::cli {
namespace {
constexpr std::size_t kGap = 2;
constexpr std::size_t kLongestCell = 400;

std::size_t total(const std::vector<std::size_t>& widths) {
  if (widths.empty()) return 0;
  return std::accumulate(widths.begin(), widths.end(), kGap * (widths.size() - 1));
}
}  // namespace

void Table::add(std::vector<Cell> row) {
  row.resize(columns_.size());
  for (Cell& c : row) c.text = printable(c.text, kLongestCell);
  rows_.push_back(std::move(row));
}

Table::Layout Table::lay_out(const Terminal& terminal, bool titles, std::size_t indent_width) const {
  Layout layout;
  std::vector<std::size_t> natural(columns_.size(), 0);
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i)
      natural[i] = std::max(natural[i], display_width(row[i].text));
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (natural[i] == 0 && !rows_.empty()) continue;
    layout.shown.push_back(i);
    layout.widths.push_back(titles ? std::max(natural[i], display_width(columns_[i].title)) : natural[i]);
  }
  if (terminal.width == 0) return layout;
  std::size_t room = terminal.width > indent_width ? terminal.width - indent_width : 1;
  while (total(layout.widths) > room) {
    // the widest of those that may still shrink
    std::size_t pick = layout.shown.size(), drop = layout.shown.size();
    for (std::size_t k = 0; k < layout.shown.size(); ++k) {
      const Column& c = columns_[layout.shown[k]];
      if (c.least > 0 && layout.widths[k] > c.least &&
          (pick == layout.shown.size() || layout.widths[k] > layout.widths[pick]))
        pick = k;
      if (c.rank > 0 && (drop == layout.shown.size() || c.rank > columns_[layout.shown[drop]].rank)) drop = k;
    }
    if (pick < layout.shown.size()) {
      --layout.widths[pick];
    } else if (drop < layout.shown.size()) {
      layout.shown.erase(layout.shown.begin() + static_cast<std::ptrdiff_t>(drop));
      layout.widths.erase(layout.widths.begin() + static_cast<std::ptrdiff_t>(drop));
      // room is back for those that shrank in vain
      for (std::size_t k = 0; k < layout.shown.size(); ++k) {
        std::size_t i = layout.shown[k];
        layout.widths[k] = titles ? std::max(natural[i], display_width(columns_[i].title)) : natural[i];
      }
    } else {
      break;  // narrower than anything useful: let the terminal wrap
    }
  }
  return layout;
}

std::vector<std::string> Table::lines(const Terminal& terminal, bool titles, std::size_t indent_width) const {
  Layout layout = lay_out(terminal, titles, indent_width);
  std::vector<std::string> out;
  auto line = [&](auto&& cell_at) {
    std::string text;
    for (std::size_t k = 0; k < layout.shown.size(); ++k) {
      const Column& column = columns_[layout.shown[k]];
      const Cell& cell = cell_at(layout.shown[k]);
      std::string shown = fit(terminal, cell.text, layout.widths[k]);
      bool last = k + 1 == layout.shown.size();
      std::size_t blanks = layout.widths[k] - std::min(layout.widths[k], display_width(shown));
      std::string painted = paint(terminal, cell.style, shown);
      // no blanks at the end of a line
      text += column.right ? std::string(blanks, ' ') + painted
              : last       ? painted
                           : painted + std::string(blanks, ' ');
      if (!last) text += std::string(kGap, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out.push_back(std::move(text));
  };
  std::vector<Cell> heads;
  for (const Column& c : columns_) heads.emplace_back(c.title, Style::dim);
  if (titles) line([&](std::size_t i) -> const Cell& { return heads[i]; });
  for (const auto& row : rows_) line([&](std::size_t i) -> const Cell& { return row[i]; });
  return out;
}

std::string Table::render(const Terminal& terminal, bool titles, const std::string& indent) const {
  std::string out;
  for (const std::string& text : lines(terminal, titles, display_width(indent))) out += indent + text + "\n";
  return out;
}

}  // namespace vnvme::cli
