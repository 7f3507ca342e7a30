// The named parameters of one request, read strictly: a wrong one gives an
// error that names it, and only the first such error counts.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "core/json.hpp"
#include "vnvme/smapi.hpp"

namespace vnvme::smapi {

inline constexpr std::size_t kIdLimit = 256;  // ids and domains
inline constexpr std::size_t kUriLimit = 4096;
inline constexpr std::size_t kTextLimit = 64u << 10;     // names, descriptions, keys and their values
inline constexpr std::size_t kConfigurationLimit = 256;  // pairs

class Args {
 public:
  // One JSON object, nothing else.
  static Result<Args> parse(std::string method, std::string_view body);

  std::string text(std::string_view name, std::size_t limit = kTextLimit);
  // Not empty; a uuid in any case becomes canonical, any other id stays as it is: whether it exists is not
  // ours to say.
  template <class Id>
  Id id(std::string_view name) {
    return Id(identifier(name));
  }
  Bytes size(std::string_view name);
  // Absent counts as false: brokers older than API 5.0 do not send `sharable`.
  bool flag(std::string_view name);
  Strings map(std::string_view name);

  [[nodiscard]] bool failed() const { return !error_.text.empty(); }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  Args(std::string method, Json object) : method_(std::move(method)), object_(std::move(object)) {}
  const Json* find(std::string_view name);
  std::string identifier(std::string_view name);
  void refuse(std::string_view name, const std::string& why);
  std::string method_;
  Json object_;
  Error error_{Errc::invalid_argument, Outcome::not_done, {}};
};

}  // namespace vnvme::smapi
