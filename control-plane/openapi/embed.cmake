# Writes the fragments of the API's description into a C++ source: cmake -DOUT=x.cc -DFILES="a.json;b.json" -P embed.cmake
set(text "// Generated from control-plane/openapi/*.json.\n#include \"control-plane/openapi/document.h\"\n\nnamespace mimeo::control {\nnamespace {\n\nconstexpr OpenApiFragment kAll[] = {\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} json)
  string(APPEND text "    {\"${name}\", R\"fragment(${json})fragment\"},\n")
endforeach()
string(APPEND text "};\n\n}  // namespace\n\nstd::span<const OpenApiFragment> openapi_fragments() { return kAll; }\n\n}  // namespace mimeo::control\n")
file(WRITE ${OUT} "${text}")
