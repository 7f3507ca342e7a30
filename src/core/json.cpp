#include "core/json.hpp"

#include <charconv>

namespace vnvme {
namespace {

// Counts while nlohmann's own DOM builder builds.
class BoundedBuilder : public nlohmann::detail::json_sax_dom_parser<Json> {
  using Base = nlohmann::detail::json_sax_dom_parser<Json>;

 public:
  BoundedBuilder(Json& into, const JsonLimits& limits) : Base(into, false), limits_(limits) {}

  bool null() { return count() && Base::null(); }
  bool boolean(bool v) { return count() && Base::boolean(v); }
  bool number_integer(std::int64_t v) { return count() && Base::number_integer(v); }
  bool number_unsigned(std::uint64_t v) { return count() && Base::number_unsigned(v); }
  bool number_float(double v, const std::string& s) { return count() && Base::number_float(v, s); }
  bool string(std::string& v) { return fits(v) && count() && Base::string(v); }
  bool key(std::string& v) { return fits(v) && Base::key(v); }
  bool start_object(std::size_t n) { return enter() && count() && Base::start_object(n); }
  bool start_array(std::size_t n) { return enter() && count() && Base::start_array(n); }
  bool end_object() {
    --depth_;
    return Base::end_object();
  }
  bool end_array() {
    --depth_;
    return Base::end_array();
  }
  bool parse_error(std::size_t at, const std::string& token, const nlohmann::detail::exception& e) {
    why_ = "not JSON near byte " + std::to_string(at);
    return Base::parse_error(at, token, e);
  }
  [[nodiscard]] const std::string& why() const { return why_; }

 private:
  bool refuse(std::string why) {
    why_ = std::move(why);
    return false;
  }
  bool count() {
    return ++values_ <= limits_.values || refuse("more than " + std::to_string(limits_.values) + " values");
  }
  bool enter() {
    return ++depth_ <= limits_.depth || refuse("nested deeper than " + std::to_string(limits_.depth));
  }
  bool fits(const std::string& v) {
    return v.size() <= limits_.string_bytes ||
           refuse("a string of more than " + std::to_string(limits_.string_bytes) + " bytes");
  }
  const JsonLimits limits_;
  std::size_t values_ = 0, depth_ = 0;
  std::string why_ = "not JSON";
};

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return n;
}

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes)
    return fail(Errc::protocol, "JSON of " + std::to_string(text.size()) + " bytes, more than the limit of " +
                                    std::to_string(limits.bytes));
  // nlohmann's lexer takes a NUL byte for the end of the text and would drop whatever stands behind it.
  if (auto at = text.find('\0'); at != std::string_view::npos)
    return fail(Errc::protocol, "not JSON near byte " + std::to_string(at));
  Json root;
  BoundedBuilder builder(root, limits);
  if (!Json::sax_parse(text.begin(), text.end(), &builder, nlohmann::detail::input_format_t::json, true,
                       false))
    return fail(Errc::protocol, builder.why());
  return root;
}

std::string dump_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}
std::string dump_json_ascii(const Json& value) {
  return value.dump(-1, ' ', true, Json::error_handler_t::replace);
}

const Json* member(const Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::optional<std::string> text_of(const Json& object, std::string_view name) {
  const Json* v = member(object, name);
  if (v == nullptr || !v->is_string()) return std::nullopt;
  return v->get_ref<const std::string&>();
}

std::optional<std::uint64_t> number_of(const Json& object, std::string_view name) {
  const Json* v = member(object, name);
  if (v == nullptr) return std::nullopt;
  if (v->is_number_unsigned()) return v->get<std::uint64_t>();
  if (v->is_string()) return number_in(v->get_ref<const std::string&>());
  return std::nullopt;
}

std::optional<std::int64_t> integer_of(const Json& object, std::string_view name) {
  const Json* v = member(object, name);
  if (v == nullptr || !v->is_number_integer()) return std::nullopt;
  if (v->is_number_unsigned() && v->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
    return std::nullopt;
  return v->get<std::int64_t>();
}

std::optional<bool> flag_of(const Json& object, std::string_view name) {
  const Json* v = member(object, name);
  if (v == nullptr) return std::nullopt;
  if (v->is_boolean()) return v->get<bool>();
  if (v->is_string() && *v == "true") return true;
  if (v->is_string() && *v == "false") return false;
  return std::nullopt;
}

}  // namespace vnvme
