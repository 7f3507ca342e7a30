// Results as XAPI wants them: integers plain, optional members left out (null
// there is an error), unit as null, variants as ["Name", value].
#pragma once
#include <string>
#include <vector>

#include "vnvme/smapi.hpp"

namespace vnvme::smapi {

std::string encode_unit();
std::string encode_text(const std::string& text);
std::string encode_configuration(const Strings& configuration);
std::string encode_sr_stat(const SrStat& stat);
std::string encode_probe(const std::vector<Probe>& found);
std::string encode_volume(const Volume& volume);
std::string encode_volumes(const std::vector<Volume>& volumes);
std::string encode_backend(const Backend& backend);

}  // namespace vnvme::smapi
