// The call that XAPI passes on from whoever may call a plugin.
#include "hostplugin/functions.hpp"

#include <nlohmann/json.hpp>

#include "fuzz/fuzz.hpp"

using vnvme::fuzz::require;
namespace hostplugin = vnvme::hostplugin;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = vnvme::fuzz::text(data, size);
  auto call = hostplugin::parse_call(text);
  hostplugin::Answer answer = hostplugin::failure({"VNVME_BAD_CALL", std::string(text)});
  if (call) {
    require(!call->function.empty() && call->arguments.size() <= hostplugin::kMostArguments, "bounds");
    auto ask = [](const std::string& verb, const nlohmann::json&,
                  std::chrono::seconds) -> vnvme::Result<nlohmann::json> {
      require(verb != "reserve" && verb != "unreserve" && verb != "adopt", "it only reads");
      return nlohmann::json::array();
    };
    answer = hostplugin::perform(*call, ask);
  }
  const std::string printed = hostplugin::response(answer);
  require(printed.starts_with("<?xml") && printed.ends_with("</methodResponse>"), "one whole response");
  return 0;
}
