"""Names of countries and of the states of the USA, in lower case.

Countries: the English display names of territories in Unicode CLDR (Unicode License v3), folded to plain letters, and
a few everyday names. States: names and postal abbreviations, without those that are common words (in, or, me, hi, ok)
or better known as something else (Georgia, New York, Washington).
"""

COUNTRIES = frozenset(
    name.strip()
    for name in """
afghanistan, aland islands, albania, algeria, america, american samoa, andorra, angola, anguilla, antarctica,
antigua and barbuda, argentina, armenia, aruba, ascension island, australia, austria, azerbaijan, bahamas,
bahrain, bangladesh, barbados, belarus, belgium, belize, benin, bermuda, bhutan, bolivia, bosnia, bosnia and
herzegovina, botswana, bouvet island, brazil, british indian ocean territory, british virgin islands, brunei,
bulgaria, burkina faso, burma, burundi, cambodia, cameroon, canada, canary islands, cape verde, caribbean
netherlands, cayman islands, central african republic, ceuta and melilla, chad, chile, china, christmas
island, clipperton island, cocos islands, colombia, comoros, congo brazzaville, congo kinshasa, cook islands,
costa rica, cote d'ivoire, croatia, cuba, curacao, curaçao, cyprus, czech republic, czechia, côte d'ivoire,
denmark, diego garcia, djibouti, dominica, dominican republic, east timor, ecuador, egypt, el salvador,
england, equatorial guinea, eritrea, estonia, eswatini, ethiopia, falkland islands, faroe islands, fiji,
finland, france, french guiana, french polynesia, french southern territories, gabon, gambia, georgia,
germany, ghana, gibraltar, great britain, greece, greenland, grenada, guadeloupe, guam, guatemala, guernsey,
guinea, guinea-bissau, guyana, haiti, heard and mcdonald islands, holland, honduras, hong kong, hong kong sar
china, hungary, iceland, india, indonesia, iran, iraq, ireland, isle of man, israel, italy, ivory coast,
jamaica, japan, jersey, jordan, kazakhstan, kenya, kiribati, korea, kosovo, kuwait, kyrgyzstan, laos, latvia,
lebanon, lesotho, liberia, libya, liechtenstein, lithuania, luxembourg, macao, macao sar china, macau,
madagascar, malawi, malaysia, maldives, mali, malta, marshall islands, martinique, mauritania, mauritius,
mayotte, mexico, micronesia, moldova, monaco, mongolia, montenegro, montserrat, morocco, mozambique, myanmar,
namibia, nauru, nepal, netherlands, new caledonia, new zealand, nicaragua, niger, nigeria, niue, norfolk
island, north korea, north macedonia, northern mariana islands, norway, oman, pakistan, palau, palestinian
territories, panama, papua new guinea, paraguay, peru, philippines, pitcairn islands, poland, portugal, puerto
rico, qatar, republic of korea, reunion, romania, russia, rwanda, réunion, saint barthelemy, saint barthélemy,
saint helena, saint kitts and nevis, saint lucia, saint martin, saint pierre and miquelon, saint vincent and
grenadines, samoa, san marino, sao tome and principe, sark, saudi arabia, scotland, senegal, serbia,
seychelles, sierra leone, singapore, sint maarten, slovakia, slovenia, solomon islands, somalia, south africa,
south georgia and south sandwich islands, south korea, south sudan, spain, sri lanka, st lucia, sudan,
suriname, svalbard and jan mayen, swaziland, sweden, switzerland, syria, são tomé and príncipe, taiwan,
tajikistan, tanzania, thailand, timor-leste, togo, tokelau, tonga, trinidad and tobago, tristan da cunha,
tunisia, turkey, turkiye, turkmenistan, turks and caicos islands, tuvalu, türkiye, u.k, u.s, u.s. outlying
islands, u.s. virgin islands, u.s.a, uganda, uk, ukraine, united arab emirates, united kingdom, united states,
united states of america, uruguay, us, usa, uzbekistan, vanuatu, vatican, vatican city, venezuela, vietnam,
wales, wallis and futuna, western sahara, yemen, zambia, zimbabwe, åland islands
""".replace("\n", " ").split(",")
)

US_STATES = frozenset(
    name.strip()
    for name in """
ak, al, alabama, alaska, ar, arizona, arkansas, az, ca, california, co, colorado, connecticut, ct, dc, de,
delaware, district of columbia, fl, florida, ga, hawaii, ia, id, idaho, il, illinois, indiana, iowa, kansas,
kentucky, ks, ky, la, louisiana, ma, maine, maryland, massachusetts, md, mi, michigan, minnesota, mississippi,
missouri, mn, mo, montana, ms, mt, nc, nd, ne, nebraska, nevada, new hampshire, new jersey, new mexico, nh,
nj, nm, north carolina, north dakota, nv, ny, oh, ohio, oklahoma, oregon, pa, pennsylvania, rhode island, ri,
sc, sd, south carolina, south dakota, tennessee, texas, tn, tx, ut, utah, va, vermont, virginia, vt, wa, west
virginia, wi, wisconsin, wv, wy, wyoming
""".replace("\n", " ").split(",")
)
