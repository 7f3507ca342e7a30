#include "model/pci_list.hpp"

#include <algorithm>
#include <charconv>
#include <set>

namespace vnvme::model {
namespace {

constexpr std::size_t kItemsMost = 256;  // a domain has fewer slots

bool take_hex(std::string_view& text, std::size_t least, std::size_t most, unsigned limit, unsigned& out) {
  std::size_t n = 0;
  while (n < text.size() && n < most && std::isxdigit(static_cast<unsigned char>(text[n])) != 0) ++n;
  if (n < least) return false;
  std::from_chars(text.data(), text.data() + n, out, 16);
  text.remove_prefix(n);
  return out <= limit;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// "0000:81:00.2"
std::optional<std::string> parse_bdf(std::string_view text) {
  unsigned domain = 0, bus = 0, device = 0, function = 0;
  bool good = take_hex(text, 1, 4, 0xffff, domain) && take(text, ':') && take_hex(text, 1, 2, 0xff, bus) &&
              take(text, ':') && take_hex(text, 1, 2, 0x1f, device) && take(text, '.') &&
              take_hex(text, 1, 1, 7, function) && text.empty();
  if (!good) return std::nullopt;
  static constexpr char kDigits[] = "0123456789abcdef";
  auto hex = [](unsigned value, int digits) {
    std::string out;
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += kDigits[(value >> shift) & 0xf];
    return out;
  };
  return hex(domain, 4) + ":" + hex(bus, 2) + ":" + hex(device, 2) + "." + hex(function, 1);
}

struct Item {
  unsigned long number = 0;
  std::string bdf;
};

std::optional<Item> parse_item(std::string_view text) {
  auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  Item item;
  auto [end, error] = std::from_chars(text.data(), text.data() + slash, item.number);
  if (slash == 0 || error != std::errc() || end != text.data() + slash) return std::nullopt;
  auto bdf = parse_bdf(text.substr(slash + 1));
  if (!bdf) return std::nullopt;
  item.bdf = std::move(*bdf);
  return item;
}

}  // namespace

PciList parse_pci_list(std::string_view text) {
  PciList out;
  std::vector<Item> items;
  std::set<unsigned long> numbers;
  std::set<std::string> seen;
  while (!text.empty()) {
    auto comma = text.find(',');
    auto word = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    if (word.empty()) continue;
    auto item = items.size() < kItemsMost ? parse_item(word) : std::nullopt;
    if (!item) {
      if (out.unread.size() < kItemsMost) out.unread.emplace_back(word);
      continue;
    }
    if (!numbers.insert(item->number).second) out.numbered = false;
    if (!seen.insert(item->bdf).second) {
      out.numbered = false;
      continue;
    }
    items.push_back(std::move(*item));
  }
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.number < b.number; });
  for (Item& item : items) out.bdfs.push_back(std::move(item.bdf));
  return out;
}

std::string format_pci_list(const PciList& list) {
  std::string out;
  std::size_t number = 0;
  for (const std::string& bdf : list.bdfs) {
    if (!out.empty()) out += ',';
    out += std::to_string(number++) + "/" + bdf;
  }
  for (const std::string& word : list.unread) {
    if (!out.empty()) out += ',';
    out += word;
  }
  return out;
}

std::optional<std::string> repaired_pci_list(std::string_view now, const std::vector<std::string>& mine,
                                             const std::function<bool(const std::string&)>& is_ours) {
  PciList list = parse_pci_list(now);
  auto wanted = [&](const std::string& bdf) {
    return std::find(mine.begin(), mine.end(), bdf) != mine.end();
  };
  bool stranger = std::any_of(list.bdfs.begin(), list.bdfs.end(),
                              [&](const std::string& bdf) { return !wanted(bdf) && is_ours(bdf); });
  bool complete = std::all_of(mine.begin(), mine.end(), [&](const std::string& bdf) {
    return std::find(list.bdfs.begin(), list.bdfs.end(), bdf) != list.bdfs.end();
  });
  // Numbers that somebody else wrote twice matter only where ours stand among them.
  if (!stranger && complete && (list.numbered || mine.empty())) return std::nullopt;
  std::erase_if(list.bdfs, [&](const std::string& bdf) { return wanted(bdf) || is_ours(bdf); });
  list.bdfs.insert(list.bdfs.end(), mine.begin(), mine.end());
  return format_pci_list(list);
}

}  // namespace vnvme::model
