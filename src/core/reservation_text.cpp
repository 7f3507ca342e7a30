#include "vnvme/reservation_text.hpp"

#include <charconv>

namespace vnvme::gate {
namespace {

constexpr std::string_view kMagic = "vnvme-reservations";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kNobody = "-";
constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::size_t kMostWords = 5;

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

std::optional<unsigned> hex_number(std::string_view text) {
  unsigned value = 0;
  for (char c : text) {
    auto digit = hex_digit(c);
    if (!digit) return std::nullopt;
    value = value * 16 + *digit;
  }
  return value;
}

bool plain(unsigned char c) {
  return c > 0x20 && c < 0x7f && c != '%';
}

// A name is never empty, and never looks like "nobody".
bool add_word(std::string& out, std::string_view word) {
  if (word.empty() || word.size() > kWordLimit) return false;
  out += ' ';
  for (char c : word) {
    auto byte = static_cast<unsigned char>(c);
    if (plain(byte) && word != kNobody) {
      out += c;
    } else {
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return true;
}

std::optional<std::string> read_word(std::string_view word) {
  std::string out;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (word[i] == '%') {
      if (i + 2 >= word.size()) return std::nullopt;
      auto byte = hex_number(word.substr(i + 1, 2));
      if (!byte) return std::nullopt;
      out += static_cast<char>(*byte);
      i += 2;
    } else if (plain(static_cast<unsigned char>(word[i]))) {
      out += word[i];
    } else {
      return std::nullopt;
    }
  }
  if (out.empty() || out.size() > kWordLimit) return std::nullopt;
  return out;
}

std::optional<Why> read_why(std::string_view word) {
  for (Why why : {Why::opening, Why::unseen, Why::gone})
    if (word == to_text(why)) return why;
  return std::nullopt;
}

struct Words {
  std::string_view word[kMostWords];
  std::size_t count = 0;  // kMostWords + 1: more
};

Words words_of(std::string_view line) {
  Words out;
  for (bool more = true; more && out.count <= kMostWords; ++out.count) {
    auto space = line.find(' ');
    if (out.count < kMostWords) out.word[out.count] = line.substr(0, space);
    more = space != std::string_view::npos;
    line.remove_prefix(more ? space + 1 : line.size());
  }
  return out;
}

bool read_function(const Words& w, Reservations& out) {
  auto address = w.count == 5 ? parse_pci_address(w.word[1]) : std::nullopt;
  if (!address) return false;
  Function f{*address, {}, {}, {}};
  if (w.word[2] != kNobody) {
    auto vm = read_word(w.word[2]);
    if (!vm) return false;
    f.vm = std::move(*vm);
  }
  auto dpu = read_word(w.word[3]), id = read_word(w.word[4]);
  if (!dpu || !id) return false;
  f.dpu = std::move(*dpu), f.id = std::move(*id);
  out.functions.push_back(std::move(f));
  return true;
}

bool read_awaited(const Words& w, Reservations& out) {
  if (w.count != 4) return false;
  auto vm = read_word(w.word[1]), dpu = read_word(w.word[3]);
  auto why = read_why(w.word[2]);
  if (!vm || !why || !dpu) return false;
  out.awaited.push_back({std::move(*vm), *why, std::move(*dpu)});
  return true;
}

bool is_end(const Words& w, std::size_t rows) {
  return w.count == 2 && w.word[1] == std::to_string(rows);
}

// One line after the other, without its newline. Past the end: nothing.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}
  std::optional<std::string_view> next() {
    auto end = rest_.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    auto line = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    ++number_;
    return line;
  }
  [[nodiscard]] bool over() const { return rest_.empty(); }
  [[nodiscard]] std::size_t number() const { return number_; }

 private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

Decoded wrong(const std::string& what) {
  return {std::nullopt, what};
}

}  // namespace

std::optional<PciAddress> make_pci_address(std::uint64_t domain, std::uint64_t bus, std::uint64_t device,
                                           std::uint64_t function) {
  if (domain > 0xffff || bus > 0xff || device > 0x1f || function > 7) return std::nullopt;
  return PciAddress{static_cast<std::uint32_t>(domain << 16 | bus << 8 | device << 3 | function)};
}

std::optional<PciAddress> parse_pci_address(std::string_view text) {
  if (text.size() != 12 || text[4] != ':' || text[7] != ':' || text[10] != '.') return std::nullopt;
  auto domain = hex_number(text.substr(0, 4)), bus = hex_number(text.substr(5, 2));
  auto device = hex_number(text.substr(8, 2)), function = hex_number(text.substr(11, 1));
  if (!domain || !bus || !device || !function) return std::nullopt;
  return make_pci_address(*domain, *bus, *device, *function);
}

std::string to_text(PciAddress address) {
  std::string out = "0000:00:00.0";
  std::uint32_t bits = address.bits;
  auto put = [&out](std::size_t at, std::size_t width, std::uint32_t value) {
    for (; width > 0; --width, value >>= 4) out[at + width - 1] = kDigits[value & 15];
  };
  put(0, 4, bits >> 16), put(5, 2, bits >> 8 & 0xff), put(8, 2, bits >> 3 & 0x1f), put(11, 1, bits & 7);
  return out;
}

std::string_view to_text(Why why) {
  switch (why) {
    case Why::opening:
      return "opening";
    case Why::unseen:
      return "unseen";
    case Why::gone:
      break;
  }
  return "gone";
}

std::optional<std::string> encode(const Reservations& all) {
  const std::size_t rows = all.functions.size() + all.awaited.size();
  if (rows > kMostRows) return std::nullopt;
  std::string out(kMagic);
  out.append(" ").append(kVersion).append("\nboot");
  bool good = add_word(out, all.boot);
  out += '\n';
  for (const Function& f : all.functions) {
    out += "function " + to_text(f.address);
    if (f.vm.empty())
      out += " " + std::string(kNobody);
    else
      good = add_word(out, f.vm) && good;
    good = add_word(out, f.dpu) && good;
    good = add_word(out, f.id) && good;
    out += '\n';
  }
  for (const Awaited& a : all.awaited) {
    out += "awaited";
    good = add_word(out, a.vm) && good;
    out += " " + std::string(to_text(a.why));
    good = add_word(out, a.dpu) && good;
    out += '\n';
  }
  out += "end " + std::to_string(rows) + "\n";
  if (!good || out.size() > kFileLimit) return std::nullopt;
  return out;
}

Decoded decode(std::string_view text) {
  if (text.size() > kFileLimit) return wrong("it is larger than " + std::to_string(kFileLimit) + " bytes");
  Lines lines(text);
  auto first = words_of(lines.next().value_or(std::string_view()));
  if (first.count != 2 || first.word[0] != kMagic) return wrong("it does not begin as such a file does");
  if (first.word[1] != kVersion) return wrong("it is of another version than " + std::string(kVersion));
  auto second = words_of(lines.next().value_or(std::string_view()));
  auto boot = second.count == 2 && second.word[0] == "boot" ? read_word(second.word[1]) : std::nullopt;
  if (!boot) return wrong("line 2 names no boot");
  Reservations out{std::move(*boot), {}, {}};
  while (auto line = lines.next()) {
    auto w = words_of(*line);
    const std::size_t rows = out.functions.size() + out.awaited.size();
    bool good = false;
    if (w.word[0] == "end") {
      good = is_end(w, rows);
      if (good && !lines.over()) return wrong("something follows its end");
      if (good) return {std::move(out), {}};
    } else if (rows < kMostRows) {
      good = w.word[0] == "function"  ? read_function(w, out)
             : w.word[0] == "awaited" ? read_awaited(w, out)
                                      : false;
    }
    if (!good) return wrong("line " + std::to_string(lines.number()) + " cannot be read");
  }
  return wrong("it ends before its end");
}

}  // namespace vnvme::gate
