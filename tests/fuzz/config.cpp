// The configuration file: whatever it holds, a configuration that can be used or a text that says what is
// wrong.
#include "daemon/config.hpp"
#include "fuzz/fuzz.hpp"

using vnvme::fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto config = vnvme::daemon::parse_config(vnvme::fuzz::text(data, size), "f.json");
  if (!config) {
    require(config.error().text.find("f.json") != std::string::npos, "an error names the file");
    return 0;
  }
  require(config->dpus.size() <= vnvme::daemon::kMostDpus, "there are not more DPUs than allowed");
  for (const auto& dpu : config->dpus) {
    require(!dpu.name.empty() && dpu.name.size() <= 32, "a DPU has a name");
    require(vnvme::daemon::check_dpu_uri(dpu.uri).has_value(), "a DPU has an address that can be used");
  }
  for (const auto* path :
       {&config->run_dir, &config->state_path, &config->smapi_socket, &config->admin_socket})
    require(path->starts_with('/'), "paths are absolute");
  require(config->smapi_socket.size() <= 107, "a socket's path fits sockaddr_un");
  return 0;
}
